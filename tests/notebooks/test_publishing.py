"""Pages and reports of notebook campaigns: made of what is there, for good and failed runs, never in their way."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.conftest import Project, wait_until
from tests.notebooks.written import write_notebook

CONFIG = "import configmill\nconfig = configmill.get_config_from_env()"
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, config.x]);"


def test_pages_of_good_and_failed_notebooks(user: Project) -> None:
    """Each has its page beside it, with status, config and error; the index links to both, with a thumbnail."""
    write_notebook(user, CONFIG, PLOT, "if config.x == 1: raise ValueError('no <b>good</b>')", "1")
    done = user.run_notebook("--publish_notebook", "--num_threads", "2", builder="builder.build(2)")
    assert done.code == 1, done
    assert f"report:  {user.out / 'report' / 'index.html'}" in done.out
    good, bad = ((user.result_dir(index) / "nb.html").read_text() for index in (0, 1))
    assert "succeeded" in good
    assert "data:image/png;base64," in good
    assert "ValueError: no &lt;b&gt;good&lt;/b&gt;" in bad
    assert "not run" in bad
    index = (user.out / "report" / "index.html").read_text()
    for result in (0, 1):
        digest = os.path.basename(os.path.realpath(user.result_dir(result)))
        assert f"../experiments/{digest}/nb.html" in index
        assert (user.out / "report" / "thumbnails" / f"{digest}.png").exists()


def test_without_publishing_there_are_no_pages(user: Project) -> None:
    """Pages are made on request; the report is always; and `configmill report` makes both later."""
    write_notebook(user, CONFIG)
    assert user.run_notebook().code == 0
    assert not (user.result_dir(0) / "nb.html").exists()
    assert (user.out / "report" / "index.html").exists()
    done = user.configmill("report", str(user.out), "--hide_input")
    assert done.code == 0, done
    assert (user.result_dir(0) / "nb.html").exists()


def test_publishing_again_skips_what_has_run(user: Project) -> None:
    """--publish_notebook on a campaign that has run makes the pages that are missing, and runs nothing."""
    write_notebook(user, CONFIG)
    assert user.run_notebook().code == 0
    done = user.run_notebook("--publish_notebook", "--json")
    assert (done.code, done.summary["skipped"]) == (0, 1)
    assert (user.result_dir(0) / "nb.html").exists()


def test_page_that_cannot_be_made_is_a_warning(user: Project) -> None:
    """A notebook that ran well has run well, whatever becomes of its page; the warning names it."""
    write_notebook(user, CONFIG, "import os\nos.makedirs(os.path.join(config.meta.experiment_dir, 'nb.html', 'x'))")
    done = user.run_notebook("--publish_notebook", "--json")
    assert done.code == 0, done
    assert done.summary["succeeded"] == 1
    assert len(done.summary["warnings"]) == 1
    assert "the page of result_0 can't be made" in done.summary["warnings"][0]
    assert (user.out / "report" / "index.html").exists()


def test_report_that_cannot_be_made_is_a_warning(user: Project) -> None:
    """A file where the report's folder should be doesn't fail the run; `configmill report` says what is wrong."""
    write_notebook(user, CONFIG, "open(config.meta.dst_dir + '/report', 'w').write('mine')")
    done = user.run_notebook("--json")
    assert done.code == 0, done
    assert "the report can't be written" in done.summary["warnings"][0]
    assert (user.out / "report").read_text() == "mine"
    again = user.configmill("report", str(user.out))
    assert again.code == 2
    assert "report" in again.err


def test_warning_that_nobody_reads(user: Project) -> None:
    """Where whoever read the output has left, a warning changes neither the exit code nor the run's record."""
    write_notebook(user, CONFIG, "open(config.meta.dst_dir + '/report', 'w').close()\n1 / 0")
    read_end, write_end = os.pipe()
    os.close(read_end)
    manager = subprocess.Popen(
        user.notebook_command(), cwd=user.root, env=user.environment(), stdout=write_end, stderr=subprocess.DEVNULL
    )
    os.close(write_end)
    assert manager.wait(60) == 1
    (run,) = user.out.glob("runs/*.json")
    outcome = json.loads(run.read_text())["outcome"]
    assert outcome["failed"] == 1
    assert "the report can't be written" in outcome["warnings"][0]


def test_page_is_there_while_others_run(user: Project) -> None:
    """A notebook's page doesn't wait for the end of the campaign."""
    write_notebook(user, CONFIG, "import os, time\nwhile config.x and not os.path.exists('gate'): time.sleep(0.05)")
    manager = user.start_notebook("--publish_notebook", builder="builder.build(2)")
    wait_until(lambda: (user.result_dir(0) / "nb.html").exists(), seconds=60)
    wait_until(lambda: (user.result_dir(1) / "status.json").exists(), seconds=60)
    assert manager.poll() is None
    (user.root / "gate").touch()
    assert manager.wait(60) == 0
    assert (user.result_dir(1) / "nb.html").exists()


def test_hidden_input(user: Project) -> None:
    """--hide_input leaves the code out of the page; asking for another kind of page makes it anew."""
    write_notebook(user, CONFIG, "print('shown' + str(1))  # a secret")
    page = user.result_dir(0) / "nb.html"
    for options, shows_code in ((["--hide_input"], False), ([], True), (["--hide_input"], False)):
        assert user.run_notebook("--publish_notebook", *options).code == 0
        assert "shown1" in page.read_text()
        assert ("secret" in page.read_text()) is shows_code
    assert user.configmill("report", str(user.out)).code == 0
    assert "secret" not in page.read_text()


def test_report_of_a_function_campaign(squares: Project) -> None:
    """run_experiment.py leaves a report too, and `configmill report` makes it again."""
    done = squares.run()
    assert done.code == 0, done
    index = squares.out / "report" / "index.html"
    index.unlink()
    done = squares.configmill("report", str(squares.out), "--json")
    assert done.code == 0, done
    assert done.summary["report"] == str(index)
    assert index.exists()


def test_comparing_a_cell(user: Project) -> None:
    """`configmill compare` writes one page with the tagged cell of every config."""
    write_notebook(user, CONFIG, {"source": "print('value', config.x * 11)", "metadata": {"tags": ["value"]}})
    assert user.run_notebook(builder="builder.build(3)").code == 0
    done = user.configmill("compare", str(user.out), "--cell", "value", "--json")
    assert done.code == 0, done
    with open(done.summary["page"]) as page:
        text = page.read()
    assert [f"value {x * 11}" in text for x in range(3)] == [True] * 3


@pytest.mark.parametrize(("arguments", "named"), [
    (["--cell", "vlaue"], '"value"'), ([], "--cell TAG"), (["--hide_input", "--cell", "value"], "--hide_input"),
])  # fmt: skip
def test_bad_comparison(user: Project, arguments: list[str], named: str) -> None:
    """No such tag, or no tag: exit code 2, a sentence that says what there is, and no page."""
    write_notebook(user, CONFIG, {"source": "1", "metadata": {"tags": ["value"]}})
    assert user.run_notebook().code == 0
    before = sorted(os.listdir(user.out / "report"))
    done = user.configmill("compare", str(user.out), *arguments)
    assert done.code == 2, done
    assert named in done.err
    assert sorted(os.listdir(user.out / "report")) == before


def test_indices_of_the_best(user: Project) -> None:
    """`configmill results --only_indices` prints what --indices of another run takes."""
    write_notebook(user, CONFIG, "configmill.log_metrics(loss=(config.x - 1) ** 2 + config.x / 10)")
    assert user.run_notebook("--num_threads", "2", builder="builder.build(3)").code == 0
    done = user.configmill("results", str(user.out), "--sort", "loss", "--top", "2", "--only_indices")
    assert done.out == "1,0\n"
    done = user.run_notebook(
        "--json", "--indices", done.out.strip(), "--dry_run", builder="builder.build(3)", dst=user.root / "best"
    )
    assert done.summary["selected"] == 2
