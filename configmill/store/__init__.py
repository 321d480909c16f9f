"""A campaign's directory, and what is read out of it.

    lock.py         one manager at a time
    campaign.py     dst_dir: whose it is, its runs, its links
    experiments.py  one experiment: its attempts, its state
    tables.py       a row per config, results.csv and failed_experiments.csv
    results.py      the rows as a pandas.DataFrame

Files are the truth; what is here reads and writes them and decides nothing.
"""
