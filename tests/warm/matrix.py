"""What the matrix runs warm and cold: a case for each thing that an experiment can do, or have done to it."""

from __future__ import annotations

from tests.processes.cases import names_of_cases

EXPERIMENTS = """
    import atexit, gc, json, logging, os, resource, signal, subprocess, sys, threading, time, warnings

    import numpy

    import configmill

    sys.path.insert(0, os.path.join(os.getcwd(), "vendored"))  # before the project, as many a script does
    os.environ["SET_AT_IMPORT"] = "yes"
    os.umask(0o027)
    print("the experiment's module is imported")
    print("half a line of it", end="")
    logging.getLogger("mine").warning("and logs")
    warnings.warn("and warns")
    at_import = {"path": list(sys.path), "argv": list(sys.argv), "cwd": os.getcwd(), "file": __file__, "name": __name__}

    def surroundings(config):
        with open("/proc/self/status") as file:
            status = {line.partition(":")[0]: line.partition(":")[2].strip() for line in file}
        opened = []
        for descriptor in sorted(map(int, os.listdir("/proc/self/fd"))):
            try:
                opened.append(os.readlink(f"/proc/self/fd/{descriptor}").split(":")[0])
            except OSError:
                pass
        parent = os.getppid()
        with open("/proc/self/environ", "rb") as file:
            shown = file.read().split(b"\\0")
        return {
            "at_import": at_import,
            "environ": dict(os.environ),
            "environ_of_a_child": subprocess.run(["env", "-0"], capture_output=True, text=True).stdout.split("\\0"),
            "mark": sorted(entry.decode() for entry in shown if entry.startswith(b"CONFIGMILL_")),
            "cwd": os.getcwd(),
            "argv": sys.argv,
            "path": sys.path,
            "flags": list(sys.flags),
            "executable": [sys.executable, sys.prefix, sys.base_prefix],
            "streams": [[s.encoding, s.errors, s.line_buffering] for s in (sys.stdin, sys.stdout, sys.stderr)],
            "umask": os.umask(0o077),
            "descriptors": opened,
            "signals": {s.name: str(signal.getsignal(s)).partition(" at 0x")[0] for s in signal.Signals},
            "masks": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd")],
            "leads_group_and_session": [os.getpid() == os.getpgid(0) == os.getsid(0)],
            "minder_leads": [parent == os.getpgid(parent) == os.getsid(parent), os.getsid(parent) != os.getsid(0)],
            "foreground": os.isatty(0),
            "nice": os.nice(0),
            "affinity": sorted(os.sched_getaffinity(0)),
            "limits": [resource.getrlimit(number) for number in range(16)],
            "python_threads": [thread.name for thread in threading.enumerate()],
            "main_thread": threading.current_thread() is threading.main_thread(),
            "threads": len(os.listdir("/proc/self/task")),
            "recursion": sys.getrecursionlimit(),
            "garbage": [gc.isenabled(), gc.get_threshold(), gc.get_debug()],
            "handlers": [[type(h).__name__, h.stream.fileno()] for h in logging.root.handlers],
            "log_level": logging.root.level,
            "main": sorted(vars(sys.modules["__main__"])),
            "default_start_method": __import__("multiprocessing").get_start_method(),
            "reaped": _children(),
        }

    def _children():
        try:
            return os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return "none"

    def threads_of_numpy(config):
        ones = numpy.ones((300, 300))
        for _ in range(3):
            ones @ ones
        return {"threads": len(os.listdir("/proc/self/task")), "sum": float((ones @ ones).sum())}

    def config_and_meta(config):
        values = {name: str(getattr(config.meta, name)) for name in type(config.meta).__slots__}
        plain = {key: value for key, value in config.to_dict().items() if key != "scale"}
        return {"config": plain, "meta": values, "scaled": config.scale(7)}

    def lambda_of_its_own(config):
        return {"scaled": config.scale(7), "index": config.meta.idx}

    def config_is_read_only(config):
        config["case"] = "another"

    def reads_half(config):
        return {"depth": config.extra.depth}

    def imports_what_stands_first(config):
        import vendored_module
        return {"version": vendored_module.VERSION}

    def all_kinds_of_output(config):
        print("printed")
        os.write(1, b"written to 1\\n")
        os.write(2, b"written to 2\\n")
        print("to stderr", file=sys.stderr)
        logging.getLogger("mine").info("logged")
        logging.debug("not logged")
        warnings.warn("warned")
        subprocess.run(["sh", "-c", "echo from a shell; echo and its stderr >&2"])
        sys.stdout.buffer.write(b"bytes\\n")
        atexit.register(print, "at exit")
        print("no end", end="")

    def leaves_files_open(config):
        globals()["left"] = open(os.path.join(config.meta.experiment_dir, "left.txt"), "w")
        left.write("all of it")

    def leaves_a_thread(config):
        threading.Thread(target=lambda: (time.sleep(0.1), print("the thread ended"))).start()

    def leaves_a_daemon(config):
        return {"started": subprocess.Popen(["sleep", "1000"], start_new_session=True, env={}).pid > 0}

    def logs_metrics(config):
        configmill.log_metrics(step=1, loss=0.5)
        assert len(open(os.path.join(config.meta.experiment_dir, "metrics.jsonl")).readlines()) == 1

    def fails_once_with_a_checkpoint(config):
        state = configmill.load_checkpoint()
        if state is None:
            configmill.save_checkpoint({"epoch": 3})
            raise OSError("the disk is gone")
        return state

    def raises(config):
        def deeper(): raise ValueError("no such lag: 7")
        deeper()

    def raises_group(config):
        raise ExceptionGroup("two", [ValueError("a"), KeyError("b")])

    def misses_a_module(config):
        import no_such_module_anywhere

    def runs_out_of_memory(config):
        bytearray(1 << 62)

    def recurses(config):
        return recurses(config)

    def returns_what_json_lacks(config):
        return {"bad": object()}

    def cannot_connect(config):
        raise ConnectionResetError("peer reset")

    def exits(config):
        sys.exit(3)

    def exits_with_text(config):
        sys.exit("that is all")

    def exits_at_once(config):
        print("gone")
        os._exit(0)

    def segfaults(config):
        import ctypes
        ctypes.string_at(0)

    def aborts(config):
        os.abort()

    def is_killed(config):
        print("a last line")
        os.kill(os.getpid(), signal.SIGKILL)

    def is_terminated(config):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1000)
        except configmill.Terminated:
            print("saw it")
            raise
        finally:
            print("finally")

    def interrupts_itself(config):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1000)

    def times_out(config):
        try:
            time.sleep(1000)
        finally:
            print("finally")

    def times_out_stubbornly(config):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)

    def _square(x):
        return x * x

    def _squares_in(pool):
        squares = pool.map(_square, range(4))
        pool.close()
        pool.join()  # a worker that is terminated may not have written what it has printed
        return squares

    def pool_by_fork(config):
        import multiprocessing
        return {"squares": _squares_in(multiprocessing.get_context("fork").Pool(1))}

    def pool_by_spawn(config):
        import multiprocessing
        return {"squares": _squares_in(multiprocessing.get_context("spawn").Pool(1))}

    def pool_by_forkserver(config):
        import multiprocessing
        return {"squares": _squares_in(multiprocessing.get_context("forkserver").Pool(1))}

    def executor(config):
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2) as pool:
            return {"squares": list(pool.map(_square, range(4)))}

    def loky(config):
        import joblib
        return {"squares": joblib.Parallel(n_jobs=2)(joblib.delayed(_square)(x) for x in range(4))}

    def asks_again(config):
        found = [configmill.get_config_from_env() == config for _ in range(2)]
        return {"found": found, "path": sys.path[:2]}

    def asks_in_a_fork(config):
        read_fd, write_fd = os.pipe()
        if os.fork() == 0:
            os.write(write_fd, configmill.get_config_from_env().case.encode())
            os._exit(0)
        os.wait()
        return {"case": os.read(read_fd, 100).decode()}

    def asks_in_a_subprocess(config):
        program = "import configmill; c = configmill.get_config_from_env(); print(c.case, c.extra.depth)"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return {"said": done.stdout}

    def runs_a_campaign(config):
        configmill.run([{"x": 1}], "experiment.run", "another")
    """
BUILDER = """

print("the builder's module is imported")

def build():
    print("the list is built")
    for index, config in enumerate(CONFIGS):
        config["scale"] = lambda x, index=index: index * x
        config["extra"] = {"depth": 1, "unread": [1, 2]}
    return CONFIGS
"""
SHORT = {"resources": {"timeout": 0.4}}
OPTIONS = (
    "--set",
    "extra.depth=7",
    "--num_retries",
    "1",
    "--retry_backoff",
    "0",
    "--grace",
    "0.3",
    "--num_threads",
    "2",
)
CASES = names_of_cases(EXPERIMENTS)
SUCCEEDED = {
    "surroundings", "threads_of_numpy", "config_and_meta", "lambda_of_its_own", "reads_half",
    "imports_what_stands_first", "all_kinds_of_output", "leaves_files_open", "leaves_a_thread", "leaves_a_daemon",
    "logs_metrics", "fails_once_with_a_checkpoint", "pool_by_fork", "pool_by_spawn", "pool_by_forkserver", "executor",
    "loky", "asks_again", "asks_in_a_fork", "asks_in_a_subprocess",
}  # fmt: skip
#: Several processes write to the log of these at once, or the list is built again, which a fork need not do.
IN_NO_ORDER = {"pool_by_spawn", "pool_by_forkserver", "loky", "asks_again", "asks_in_a_fork"}
