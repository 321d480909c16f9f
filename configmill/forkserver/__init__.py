"""The fork server: a single-threaded process that has imported everything, and forks an attempt's minder on request.

    server.py      start, imports, answer, forks
    preload.py     what is imported, and what the imports may not have done
    environment.py which variables the imports looked at
    safety.py      what must not be there when a process forks
    canary.py      a fork that tries out what native libraries can do in one
    finalizers.py  what would run at each fork's end
    memory.py      large pages, for forks that cost less
    kernels.py     what is imported ahead for notebooks
    mark.py        whose attempt a fork is, for whoever looks into /proc

While it forks it holds no lock, no device and no database: whatever happens to it, the attempts that run go on.
"""
