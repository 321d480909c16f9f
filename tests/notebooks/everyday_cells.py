"""What people do in cells, with the cells' own account of the process that they run in."""

from __future__ import annotations

#: What the kernel's process has, by name; `ancestors` are the processes above it up to the fork server or the manager.
FACTS = """
    import asyncio, atexit, faulthandler, gc, locale, multiprocessing, re, resource, signal, threading, warnings

    def parent_of(pid):
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])

    def leads_to(pid):
        found = set()
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
            except FileNotFoundError:
                pass
        return {path for path in found if path.startswith(("pipe:", "socket:", "/")) and path != "/dev/null"}

    def status_bits(name):
        return re.search(f"{name}:\\t(.*)", open("/proc/self/status").read())[1]

    main = sys.modules["__main__"]
    runner = os.getppid()
    minder = parent_of(runner)
    ancestors = runner, minder, parent_of(minder)
    facts = {
        "environment": {name: value for name, value in os.environ.items() if name != "OLDPWD"},
        "folder": os.getcwd(),
        "path": sys.path,
        "arguments": sys.argv,
        "main": [__name__, main.__name__, getattr(main, "__file__", None), repr(main.__spec__)],
        "globals": sorted(set(globals()) & {"__file__", "__spec__", "__loader__", "__package__", "__doc__"}),
        "streams": [type(each).__name__ for each in (sys.stdout, sys.stderr, sys.stdin, sys.displayhook)],
        "encodings": [sys.stdout.encoding, sys.stderr.encoding, sys.getfilesystemencoding()],
        "executable": sys.executable,
        "leads its session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "knows its parent": os.environ["JPY_PARENT_PID"] == str(runner),
        "handlers": {each.name: str(signal.getsignal(each)).partition(" at ")[0] for each in signal.Signals},
        "masks": [status_bits("SigBlk"), status_bits("SigIgn"), status_bits("SigCgt")],
        "threads": len(threading.enumerate()),
        "native threads": len(os.listdir("/proc/self/task")),
        "main thread": threading.current_thread() is threading.main_thread(),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if "RLIMIT_" in name},
        "root logger": [[type(each).__name__ for each in logging.root.handlers], logging.root.level],
        "warnings": [str(each) for each in warnings.filters if "Deprecation" in str(each)],
        "garbage": [gc.isenabled(), gc.get_threshold()],
        "crashes": faulthandler.is_enabled(),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "loop": type(asyncio.get_running_loop()).__name__,
        "recursion": sys.getrecursionlimit(),
        "locale": locale.setlocale(locale.LC_ALL),
        "file mode": os.umask(0o022),
        "priority": os.nice(0),
        "builtins": sorted(dir(__builtins__)),
        "imported": "runpy" in sys.modules or sorted(set(sys.modules) & {"papermill", "nbclient", "nbconvert"}),
        "safe path": sys.flags.safe_path,
        "stdin": os.readlink("/proc/self/fd/0").partition(":")[0],
        "program": open("/proc/self/cmdline").read().split("\\0")[1:3],
        "shared descriptors": sorted(leads_to("self") & set().union(*map(leads_to, ancestors))),
        "draws": [random.random(), np.random.rand(), np.random.default_rng().random()],
    }
    json.dump(facts, open(os.path.join(config.meta.experiment_dir, "facts.json"), "w"))
    """

#: ipykernel reads what is written past Python in a thread. Where that is after the cell's end, only the log has it.
LATE = "by descriptor"
CELLS = (
    "import json, os, random, sys\nimport numpy as np, matplotlib.pyplot as plt, plotly.io\nimport configmill",
    "config = configmill.get_config_from_env()\nconfig.x, config.double(4)",
    "import beside_the_notebook, in_the_project\nbeside_the_notebook.NAME, in_the_project.NAME",
    "import logging\nlogging.warning('a warning')\nlogging.info('some information')\nlogging.debug('details')",
    FACTS,
    "logging.getLogger('mine').error('an error of mine')",
    "import warnings\nwarnings.warn('careful')\nwarnings.warn('out of date', DeprecationWarning)",
    "os.write(1, b'one, by descriptor\\n'); None",
    "os.write(2, b'two, by descriptor\\n'); None",
    "import subprocess\nsubprocess.run(['echo', 'a subprocess, by descriptor'])",
    "os.system('echo a shell, by descriptor')",
    "print('the first stream, by descriptor', file=sys.__stdout__, flush=True)",
    "!echo from a bang in $PWD",
    "%%bash\necho from a bash cell\necho and its complaint >&2",
    "plt.plot([1, 2]);",
    "figure, axes = plt.subplots()\naxes.bar([1, 2], [3, 4])\nfigure",
    "plt.hist([1, 2, 2]); plt.show()",
    "import matplotlib\nmatplotlib.get_backend(), plt.isinteractive(), matplotlib.rcParams['lines.linewidth']",
    "%matplotlib inline\nplt.plot([2, 1])",
    "%matplotlib",
    "%config InlineBackend.figure_format",
    "import pandas as pd\npd.DataFrame({'a': [1, 2]})",
    "import plotly.graph_objects as go\ngo.Figure(go.Bar(y=[1, 2])).show()\nplotly.io.renderers.default",
    "%load_ext autoreload\n%autoreload 2\nin_the_project.NAME",
    "os.chdir(config.meta.experiment_dir)",
    "%%writefile script.py\nprint(__name__, __file__[-9:])\nmade_by_script = 3",
    "%run script.py\nmade_by_script",
    "%%capture caught\nos.system('echo not caught, by descriptor')\nprint('caught from Python')",
    "caught.stdout",
    "_, Out[2], In[2], len(In), get_ipython().execution_count",
    "%history -n 1-2",
    "%who",
    "%env CONFIGMILL_CONFIG_IDX",
    "import asyncio\nawait asyncio.sleep(0.001)\n'awaited'",
    "import threading\nthread = threading.Thread(target=print, args=('from a thread',))\nthread.start(); thread.join()",
    "import multiprocessing\ndef square(n):\n    return n * n",
    "with multiprocessing.get_context('fork').Pool(2) as pool:\n    print(pool.map(square, [1, 2, 3]))",
    "from concurrent.futures import ProcessPoolExecutor\nspawn = multiprocessing.get_context('spawn')",
    "with ProcessPoolExecutor(1, spawn) as pool:\n    print(list(pool.map(abs, [-7])))",
    "from IPython.display import HTML, clear_output, display",
    "print('gone')\nclear_output()\ndisplay(HTML('<b>bold</b>'))",
    "handle = display('shown', display_id='one')\nhandle.update('updated')",
    "help(square)",
    "square?",
    "random.seed(config.x); np.random.seed(config.x); random.random(), np.random.rand()",
    "configmill.log_metrics(step=0, loss=1.0)\nconfigmill.log_metrics(step=1, loss=0.5)",
    "configmill.load_checkpoint() or configmill.save_checkpoint({'step': 7})",
    "input('your name? ')",
    "1 / 0",
    "%debug",
    "def deep():\n    raise KeyError('missing')\n\ndeep()",
    "def broken(:",
    "no_such_name",
    "sys.exit(3)",
    "raise KeyboardInterrupt",
    "!exit 3\n_exit_code",
    "%no_such_magic",
    "%xmode Minimal\n1 / 0",
    "del square\n%reset -f",
    "'config' in globals(), len(In)",
)  # fmt: skip
