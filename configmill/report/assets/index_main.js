// Draws the page: what needs no measuring first, the plot when the rest is on the screen.

const nonce = document.currentScript.nonce;
const plotChoices = plotDefaults();

startState({ ...plotChoices, hidden: hiddenAtFirst() });
drawHead();
drawCounts();
drawFailures();
drawEnergy();
drawFoot();
markChips();
byId("search").value = state.query;
drawColumnList();
drawTableHead();
drawRows();
listenToTable();
startPlot();
startDevices();
