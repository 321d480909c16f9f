"""What a user looks at; it renders events, a Summary or rows that the cli hands it.

terminal/            a run in the terminal, and what the umbrella command prints
index/               report/index.html: failures, plots, a row per config (assets/index*)
notebooks/           an executed notebook as a page; one cell of all of them side by side
publisher.py         listens to a run, and has its pages and its report made
campaign_report.py   all that is shown of a campaign, made of its files
durations.py         seconds for the eye
"""
