"""What is found through NVML, and what of it `--gpus` selects."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from configmill.errors import UsageError
from configmill.gpus.detector import GPUDetector
from configmill.gpus.devices import cuda_visible_devices, select
from configmill.measure.nvml import Nvml, NvmlError
from tests.gpus.fake_pynvml import CALLS, GPU_IS_LOST, MIB, NOT_SUPPORTED, UNKNOWN, FakePynvml, Gpu, NVMLError, instance

A, B, C = Gpu("GPU-aaaa-1111"), Gpu("GPU-aabb-2222"), Gpu("GPU-cccc-3333")


def ids(text: str, environ: dict[str, str] | None = None, fake: FakePynvml | None = None) -> list[str]:
    """The ids of what `--gpus text` selects, on a host of three devices where no other is given."""
    selection = select(text, environ or {}, Nvml(fake or FakePynvml(A, B, C)))
    return [device.id for device in selection.devices]


def mig_host() -> FakePynvml:
    """A GPU of three MIG places, one of them empty, and a plain GPU."""
    return FakePynvml(Gpu("GPU-aaaa-1111", mig=[instance("MIG-11"), None, instance("MIG-12")]), B)


@pytest.mark.parametrize(
    "bound, seen",
    [
        (None, ["GPU-aaaa-1111", "GPU-aabb-2222", "GPU-cccc-3333"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2,0", ["GPU-cccc-3333", "GPU-aaaa-1111"]),
        (" 1 , 2", ["GPU-aabb-2222", "GPU-cccc-3333"]),
        ("0,-1,2", ["GPU-aaaa-1111"]),
        ("0,7,2", ["GPU-aaaa-1111"]),
        ("1,1", []),
        ("0,GPU-cccc", ["GPU-aaaa-1111"]),
        ("GPU-cccc,GPU-aaaa", ["GPU-cccc-3333", "GPU-aaaa-1111"]),
        ("GPU-aa,GPU-cccc", []),
        ("GPU-cccc,GPU-zz,GPU-aaaa", ["GPU-cccc-3333"]),
        ("GPU-cccc,0", ["GPU-cccc-3333"]),
    ],
)
def test_inherited_bound(bound: str | None, seen: list[str]) -> None:
    """CUDA_VISIBLE_DEVICES is read as CUDA reads it, and nothing beyond it is ever selected."""
    environ = {} if bound is None else {"CUDA_VISIBLE_DEVICES": bound}
    selection = select("auto", environ, Nvml(FakePynvml(A, B, C)))
    assert [device.id for device in selection.devices] == seen
    assert [device.index for device in selection.devices] == list(range(len(seen)))
    assert bool(selection.reason) == (not seen)


def test_indices_count_within_the_bound() -> None:
    """`--gpus 0` is the first visible device, not the host's first."""
    assert ids("0", {"CUDA_VISIBLE_DEVICES": "2,1"}) == ["GPU-cccc-3333"]
    assert ids("1,0", {"CUDA_VISIBLE_DEVICES": "2,1"}) == ["GPU-aabb-2222", "GPU-cccc-3333"]
    assert ids("GPU-cc, 0") == ["GPU-cccc-3333", "GPU-aaaa-1111"]


@pytest.mark.parametrize(
    "text, quoted",
    [
        ("3", "there is no device '3'. There are: 0 (GPU-aaaa-1111, NVIDIA H100)"),
        ("0,0", "names the device 'GPU-aaaa-1111' twice"),
        ("0,GPU-aaaa", "names the device 'GPU-aaaa-1111' twice"),
        ("GPU-aa", "more than one device begins with 'GPU-aa'"),
        ("GPU-zz", "there is no device 'GPU-zz'"),
        ("all", "'all' names no device"),
        ("0,", "'' names no device"),
        ("-1", "'-1' names no device"),
        ("", "'' names no device"),
        ("virtual:0", "'virtual:0' is no number of virtual devices"),
        ("virtual:x", "'virtual:x' is no number"),
        ("virtual:999999999", "from 1 to 4096"),
        ("virtual:²", "is no number"),
    ],
)
def test_wrong_selections(text: str, quoted: str) -> None:
    """A selection that can't be met is a usage error which quotes it and says what there is."""
    with pytest.raises(UsageError) as raised:
        ids(text)
    assert quoted in str(raised.value)


def test_mig_devices() -> None:
    """MIG devices stand in the place of their GPU; a bound by index shows one of them, as CUDA does."""
    assert ids("auto", fake=mig_host()) == ["MIG-11", "MIG-12", "GPU-aabb-2222"]
    assert ids("MIG-12", fake=mig_host()) == ["MIG-12"]
    assert ids("GPU-aaaa", fake=mig_host()) == ["MIG-11", "MIG-12"]
    assert ids("auto", {"CUDA_VISIBLE_DEVICES": "0,1"}, mig_host()) == ["MIG-11", "GPU-aabb-2222"]
    assert ids("auto", {"CUDA_VISIBLE_DEVICES": "MIG-12"}, mig_host()) == ["MIG-12"]
    part = select("0", {}, Nvml(mig_host())).devices[0]
    assert (part.kind, part.parent, part.total_memory) == ("mig", "GPU-aaaa-1111", 10_000 * MIB)


def test_order_of_unlike_devices() -> None:
    """Where CUDA may count otherwise than NVML, an inherited index is not guessed at."""
    unlike = FakePynvml(A, Gpu("GPU-dddd", name="NVIDIA T4"))
    assert ids("auto", {"CUDA_VISIBLE_DEVICES": "1"}, unlike) == []
    assert "CUDA_DEVICE_ORDER" in select("auto", {"CUDA_VISIBLE_DEVICES": "1"}, Nvml(unlike)).reason
    assert ids("auto", {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, unlike) == ["GPU-dddd"]
    assert ids("auto", {"CUDA_VISIBLE_DEVICES": "0,1"}, unlike) == ["GPU-aaaa-1111", "GPU-dddd"]
    assert ids("auto", {"CUDA_VISIBLE_DEVICES": "GPU-dddd"}, unlike) == ["GPU-dddd"]


def test_what_needs_no_driver() -> None:
    """`none`, `inherit` and `virtual:N` ask NVML nothing; virtual devices show CUDA none."""
    silent = FakePynvml()
    assert ids("none", fake=silent) == [] and not silent.calls
    assert select("inherit", {}, Nvml(silent)).inherits and not silent.calls
    assert ids("virtual:3", fake=silent) == ["virtual:0", "virtual:1", "virtual:2"] and not silent.calls
    assert cuda_visible_devices(select("virtual:2", {}).devices) == ""
    assert cuda_visible_devices(select("2,0", {}, Nvml(FakePynvml(A, B, C))).devices) == "GPU-cccc-3333,GPU-aaaa-1111"


@pytest.mark.parametrize(
    "error", [NVMLError(UNKNOWN), NVMLError(NOT_SUPPORTED), OSError("broken"), AttributeError("x")]
)
@pytest.mark.parametrize("call", CALLS)
def test_every_fault_is_a_reason(call: str, error: Exception) -> None:
    """Whatever a call of NVML raises, detection answers, and tells why a device is missing."""
    fake = FakePynvml(Gpu("GPU-aaaa-1111", mig=[instance("MIG-11")]), B)
    fake.faults[call] = error
    nvml = Nvml(fake)
    detector = GPUDetector({}, nvml)
    found = detector.devices()
    assert detector.is_cuda_available() == bool(found)
    if not found:
        assert str(error) in detector.reason
        assert detector.validate_gpus([0])[0] is False
    for index in detector.get_available_gpus():
        assert detector.get_gpu_info(index)["name"]
    nvml.close()


def test_a_lost_device_leaves_the_others() -> None:
    """One device that has fallen off the bus is left out and named; what is asked of it says so."""
    fake = FakePynvml(A, B)
    fake.faults["nvmlDeviceGetMemoryInfo"] = {B.uuid: NVMLError(GPU_IS_LOST)}
    detector = GPUDetector({}, Nvml(fake))
    assert [device.id for device in detector.devices()] == [A.uuid]
    assert "device 1 is left out" in detector.reason
    with pytest.raises(NvmlError) as raised:
        Nvml(fake).use(B.uuid)
    assert raised.value.lost


def test_indices_behind_a_lost_device_are_not_guessed_at() -> None:
    """Were the rest renumbered, an inherited index would show a device that CUDA doesn't."""
    fake = FakePynvml(A, B, C)
    fake.faults["nvmlDeviceGetUUID"] = {A.uuid: NVMLError(GPU_IS_LOST)}
    assert ids("auto", {"CUDA_VISIBLE_DEVICES": "1"}, fake) == []
    assert ids("auto", {"CUDA_VISIBLE_DEVICES": "GPU-cccc"}, fake) == [C.uuid]


def test_the_library_is_taken_again() -> None:
    """A driver that is loaded anew, a `close`, and a fork each make for another initialisation, and for no more."""
    fake = FakePynvml(A)
    nvml = Nvml(fake)
    nvml.boards()
    nvml.use(A.uuid)
    assert fake.calls.count("nvmlInit") == 1
    fake.initialised = 0
    with pytest.raises(NvmlError):
        nvml.boards()
    assert len(nvml.boards().boards) == 1
    nvml.close()
    assert fake.initialised == 0
    nvml.boards()
    child = os.fork()
    if child == 0:
        before = fake.calls.count("nvmlInit")
        nvml.boards()
        os._exit(fake.calls.count("nvmlInit") - before)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_the_detector_by_the_published_names() -> None:
    """The calls that documents show answer as they show it."""
    fake = FakePynvml(Gpu("GPU-aaaa-1111", used=500 * MIB, compute=[(os.getpid(), 400 * MIB), (4_000_000, None)]), B)
    detector = GPUDetector({}, Nvml(fake))
    assert detector.is_cuda_available()
    assert detector.get_available_gpus() == [0, 1]
    assert detector.validate_gpus([0, 1])[0] is True
    ok, message = detector.validate_gpus([0, 5])
    assert not ok and "no device 5" in message
    assert detector.validate_gpus([0, 0])[0] is False
    assert detector.parse_gpu_list("auto") == [0, 1]
    assert detector.parse_gpu_list("0,1") == [0, 1]
    info = detector.get_gpu_info(0)
    assert (info["name"], info["total_memory"], info["used_memory"]) == ("NVIDIA H100", 80_000 * MIB, 500 * MIB)
    assert info["utilisation"] == 37
    assert info["processes"] == [
        {"pid": os.getpid(), "memory": 400 * MIB, "here": True},
        {"pid": 4_000_000, "memory": None, "here": False},
    ]


def test_this_host() -> None:
    """With the real pynvml and whatever this host has, every question is answered in words."""
    script = (
        "from configmill.gpus.detector import GPUDetector\nimport sys\nd = GPUDetector({})\n"
        "print(d.is_cuda_available() or d.reason)\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip()
