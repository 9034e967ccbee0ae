"""python -m sam_edu.training: what may be asked, what comes of it, and what an interrupt leaves."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.sam import Sam
from sam_edu.tiny.image_encoder import TinyImageEncoder
from sam_edu.training import __main__ as command_line
from sam_edu.training import trainer
from sam_edu.training.interrupt import Interrupt
from sam_edu.training.settings import Settings


def small_model() -> Sam:
    decoder = MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(1, 256, 8, 16), iou_head_hidden_dim=8)
    encoder = TinyImageEncoder(widths=(16, 16, 32), depth=1)
    return Sam(encoder, PromptEncoder(256, (64, 64), (256, 256), 16), decoder, 256)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(trainer, "build_tiny", small_model)
    monkeypatch.setattr(sys, "argv", ["training", *arguments])
    command_line.main()


def test_trains_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "a" / "run"
    basics = ["--out", str(out), "--images", "1", "--device", "cpu", "--precision", "float32", "--seed", "103"]
    basics += ["--grid", "16", "--validation-scenes", "2"]
    call(monkeypatch, *basics, "--steps", "1")
    assert len((out / "log.csv").read_text().splitlines()) == 2
    first = load_file(out / "tiny.safetensors")
    call(monkeypatch, *basics, "--steps", "2", "--resume")
    assert len((out / "log.csv").read_text().splitlines()) == 3
    second = load_file(out / "tiny.safetensors")
    assert set(first) == set(second) == set(small_model().state_dict())
    assert not all(torch.equal(first[key], second[key]) for key in first)


class Remembered:
    """Stands for the trainer and keeps what it was given."""

    given: tuple[object, ...]
    interrupted = False
    rank, step, saved = 0, 5, 5

    def __init__(self, *given: object) -> None:
        type(self).given = given

    def run(self, interrupt: Interrupt | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> type[Remembered]:
    class Fresh(Remembered):
        pass

    monkeypatch.setattr(command_line, "Trainer", Fresh)
    return Fresh


def test_passes_on_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: type[Remembered]
) -> None:
    options = (
        "--hours 1.5 --seed 7 --images 4 --precision float32 --validate-every 9 --device cpu --resume --from-weights w "
        "--workers 3 --prompt-sets 5 --followed 2 --box-share 0.3 --learning-rate 1e-3 --warm-up 10 --decay-share 0.25 "
        "--restart-at 0.5 --grid 32 --freeze image_encoder --freeze prompt_encoder --photographs p "
        "--photograph-share 0.1 --annotated a --annotated-images i --annotated-share 1 --validation-scenes 6"
    )
    call(monkeypatch, "--out", str(tmp_path), *options.split())
    settings = Settings(
        hours=1.5,
        seed=7,
        images=4,
        prompt_sets=5,
        followed=2,
        box_share=0.3,
        learning_rate=1e-3,
        warm_up=10,
        decay_share=0.25,
        grids=((0.0, 32),),
        start="w",
        precision="float32",
        validate_every=9,
        validation_scenes=6,
        restart_at=0.5,
        freeze=("image_encoder", "prompt_encoder"),
        photographs="p",
        photograph_share=0.1,
        annotated="a",
        annotated_images="i",
        annotated_share=1.0,
    )
    assert remembered.given == (settings, tmp_path, torch.device("cpu"), True, 3)


def test_the_recipe_of_the_published_weights_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, remembered: type[Remembered]
) -> None:
    """The command of CONTRIBUTING.md: two phases on one grid, the second with a fresh optimizer."""
    text = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [block] = [part for part in text.split("\n\n") if "--restart-at" in part and "python -m sam_edu.training" in part]
    words = shlex.split(block.replace("\\\n", " "))
    monkeypatch.setattr(command_line, "device_of", torch.device)
    call(monkeypatch, *words[words.index("sam_edu.training") + 1 :])
    settings, _, device, resume, workers = remembered.given
    assert isinstance(settings, Settings)
    assert settings.steps == 2000 + 2402
    assert settings.restart_at is not None
    first_of_phase_2 = next(step for step in range(5000) if step / settings.steps >= settings.restart_at)
    assert first_of_phase_2 == 2000
    assert (settings.images, settings.prompt_sets, settings.seed, settings.warm_up) == (32, 8, 11, 200)
    assert (settings.learning_rate, settings.decay_share, settings.grids) == (6e-4, 0.8, ((0.0, 64),))
    assert settings.start is not None
    assert (device, resume, workers) == (torch.device("cuda"), False, 15)


@pytest.mark.parametrize("available", [True, False])
def test_defaults_are_those_of_settings_and_auto_takes_the_gpu_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: type[Remembered], available: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(available))
    call(monkeypatch, "--out", str(tmp_path), "--steps", "3")
    device = torch.device("cuda" if available else "cpu")
    assert remembered.given[:4] == (Settings(steps=3), tmp_path, device, False)
    workers = remembered.given[4]
    assert isinstance(workers, int)
    assert 1 <= workers <= 16 if available else workers == 0


LEFT = {
    "all": (5, 5, "Stopped after 5 steps. Everything up to here is in {out}; go on with --resume."),
    "a part": (5, 4, "Stopped at once after 5 steps. The first 4 are in {out}; go on with --resume."),
    "nothing": (5, 0, "Stopped at once after 5 steps; nothing was written."),
    "no step": (0, 0, "Stopped before the first step; nothing was written."),
}
"""Steps that were taken, steps that were saved, and what is said of them."""


@pytest.mark.parametrize("name", LEFT)
def test_ctrl_c_says_what_is_left_and_how_to_go_on(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    remembered: type[Remembered],
    capsys: pytest.CaptureFixture[str],
) -> None:
    remembered.interrupted = True
    remembered.step, remembered.saved, sentence = LEFT[name]
    call(monkeypatch, "--out", str(tmp_path), "--steps", "9")
    assert capsys.readouterr().out == sentence.format(out=tmp_path) + "\n"


def test_ctrl_c_before_the_first_step_says_that_nothing_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "Trainer", interrupted)
    call(monkeypatch, "--out", str(tmp_path / "run"), "--steps", "3")
    assert capsys.readouterr().out == "Stopped before the first step; nothing was written.\n"
    assert not (tmp_path / "run").exists()


NO_USAGE = {
    "neither steps nor hours": "--out x",
    "both": "--out x --steps 1 --hours 1",
    "no folder": "--steps 1",
    "unknown precision": "--out x --steps 1 --precision float8",
    "not a number": "--out x --steps many",
}


@pytest.mark.parametrize("name", NO_USAGE)
def test_refuses(
    name: str, monkeypatch: pytest.MonkeyPatch, remembered: type[Remembered], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *NO_USAGE[name].split())
    assert stop.value.code == 2
    assert "usage: python -m sam_edu.training" in capsys.readouterr().err
    assert not hasattr(remembered, "given")


WRONG = {
    "steps": ("--steps 0", "steps: expected a whole number from 1 on"),
    "hours": ("--hours -1", "hours: expected a number above 0"),
    "no hours": ("--hours nan", "hours: expected a number above 0"),
    "images": ("--steps 1 --images 0", "images: expected a whole number from 1 on"),
    "prompt sets": ("--steps 1 --prompt-sets 0", "prompt_sets: expected a whole number from 1 on"),
    "followed": ("--steps 1 --followed 9", "followed: expected at most the 8 prompt sets"),
    "box share": ("--steps 1 --box-share 2", "box_share: expected a share from 0 to 1"),
    "seed": ("--steps 1 --seed -1", "seed: expected a whole number from 0 on"),
    "rate": ("--steps 1 --learning-rate 0", "learning_rate: expected a number above 0"),
    "warm-up": ("--steps 1 --warm-up -5", "warm_up: expected a whole number from 0 on"),
    "decay share": ("--steps 1 --decay-share 7", "decay_share: expected a share from 0 to 1"),
    "restart": ("--steps 1 --restart-at 1", "restart_at: expected a share of the run between 0 and 1"),
    "grid": ("--steps 1 --grid 24", "grids: expected grids of 8, 16, 32, 64"),
    "workers": ("--steps 1 --workers -1", "workers: expected 0"),
    "device": ("--steps 1 --device tpu", "device: expected auto, cpu, cuda or cuda:N"),
    "no such device": ("--steps 1 --device cuda", "torch finds no CUDA here"),
    "validate": ("--steps 1 --validate-every 0", "validate_every: expected a whole number from 1 on"),
    "scenes": ("--steps 1 --validation-scenes 0", "validation_scenes: expected a whole number from 1 on"),
    "frozen part": ("--steps 1 --from-weights tiny --freeze decoder", "freeze: expected parts of the model"),
    "frozen at random": ("--steps 1 --freeze image_encoder", "freeze: image_encoder would stay at random values"),
    "no weights": ("--steps 1 --from-weights {folder}/no.safetensors", "no such file; 'tiny' is the package's own"),
    "other file": ("--steps 1 --from-weights {folder}/broken.jpg", "start: expected a weights file"),
    "other weights": (
        "--steps 1 --from-weights {folder}/other.safetensors",
        "tensors are missing, unknown or of another",
    ),
    "nothing to resume": ("--steps 1 --resume", "nothing to resume"),
    "no photographs": ("--steps 1 --photographs {folder}/no", "photographs: expected a folder of images"),
    "broken photographs": ("--steps 1 --photographs {folder}/broken", "none can be used; a.jpg: cannot identify"),
    "photograph share": ("--steps 1 --photographs {folder} --photograph-share 2", "photograph_share: expected a share"),
    "no annotated": ("--steps 1 --annotated {folder}/no.json", "annotated: expected a file in COCO's JSON"),
    "other annotated": ("--steps 1 --annotated {folder}/other.json", "annotated: "),
    "annotated share": ("--steps 1 --annotated {folder}/other.json --annotated-share -1", "annotated_share: expected"),
    "images of no file": ("--steps 1 --annotated-images {folder}", "give that file too"),
    "share of no photographs": (
        "--steps 1 --photograph-share 0.3",
        "photograph_share: the share of what --photographs gives was asked for without it",
    ),
    "share of no file": (
        "--steps 1 --annotated-share 1",
        "annotated_share: the share of what --annotated gives was asked for without it",
    ),
    "large seed": (f"--steps 1 --seed {2**64}", "seed: expected a whole number up to"),
}
"""Options, and what is said of them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are not what is asked for."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "broken").mkdir()
    (folder / "broken" / "a.jpg").write_bytes(b"no image")
    (folder / "other.json").write_text(json.dumps({"pictured": []}), encoding="utf-8")
    save_file({"a": torch.zeros(2)}, folder / "other.safetensors")
    return folder


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("present", [False, True])
def test_a_wrong_option_gets_a_sentence_and_nothing_is_written(
    name: str,
    present: bool,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options, message = WRONG[name]
    out = tmp_path / "deep" / "run"
    if present:
        out.mkdir(parents=True)
        (out / "notes.txt").write_text("mine", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, "--out", str(out), *options.format(folder=folder).split())
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["a run", "a file", "below a file"])
def test_where_a_run_cannot_be_written_nothing_is(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    if kind == "a run":
        out.mkdir()
    file = out / "checkpoint.pt" if kind == "a run" else out
    file.write_text("an hour's work", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, "--out", str(out / "deeper" if kind == "below a file" else out), "--steps", "1")
    assert stop.value.code == 2
    advice = "--resume, or give another folder" if kind == "a run" else f"{out} is a file"
    assert advice in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "an hour's work"
    assert len(list(tmp_path.rglob("*"))) == (2 if kind == "a run" else 1)


def test_images_of_one_s_own_are_summed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (90, 90), "red").save(images / f"{name}.png")
    (images / "c.png").write_bytes(b"")
    table = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 90, "height": 90} for i in "abd"],
        "annotations": [{"id": i, "image_id": i, "segmentation": [[9, 9, 80, 9, 40, 80]]} for i in "abd"],
    }
    (tmp_path / "coco.json").write_text(json.dumps(table), encoding="utf-8")
    options = f"--photographs {images} --annotated {tmp_path}/coco.json --annotated-images {images}"
    small = "--steps 1 --images 2 --prompt-sets 1 --followed 1 --grid 8 --validation-scenes 1 --device cpu"
    call(monkeypatch, "--out", str(tmp_path / "run"), *options.split(), *small.split())
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "photographs: 2 images",
        lines[1],
        "annotated: 2 images with 2 objects",
        "  left out: d.png: no such file",
    ]
    assert lines[1].startswith("  left out: c.png: cannot identify")
    # The images of a run belong to it.
    Image.new("RGB", (95, 95), "red").save(images / "e.png")
    with pytest.raises(SystemExit):
        call(monkeypatch, "--out", str(tmp_path / "run"), *options.split(), *small.split(), "--resume")
    assert "images have changed since" in capsys.readouterr().err


# --- Interrupts, as a terminal, `timeout` and torchrun send them ---

SCRIPT = """
import json, os, signal, time
from pathlib import Path
from sam_edu.training import __main__, trainer
from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.sam import Sam
from sam_edu.tiny.image_encoder import TinyImageEncoder

plan, rank = json.loads(os.environ["INTERRUPT"]), int(os.environ.get("RANK", "0"))
# A file for each process: their lines on stderr run into one another, and into the progress line.
Path(f"process {rank}").write_text(str(os.getpid()), encoding="utf-8")

def small_model():
    decoder = MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(1, 256, 8, 16), iou_head_hidden_dim=8)
    encoder = TinyImageEncoder(widths=(16, 16, 32), depth=1)
    return Sam(encoder, PromptEncoder(256, (64, 64), (256, 256), 16), decoder, 256)

def before(place, owner, name, action):
    function = getattr(owner, name)
    def with_action(*given, **options):
        if plan and plan["place"] == place and plan["rank"] == rank:
            action(*given)
        return function(*given, **options)
    setattr(owner, name, with_action)

def interrupt(*given):
    # Ends once this process has heard the signal: the place is that of the plan, however busy the machine is.
    number, heard = plan["number"], []
    handler = signal.getsignal(number)
    signal.signal(number, lambda *given: (heard.append(number), handler(*given)))
    if plan["to"] == "group":
        os.killpg(0, number)
        os.killpg(0, number)
    else:
        os.kill(os.getppid() if plan["to"] == "torchrun" else os.getpid(), number)
    while not heard:
        time.sleep(0.01)
    signal.signal(number, handler)

def interrupt_in_third_step(run, *given):
    if run.step == 2:
        interrupt()

def interrupt_when_the_other_waits(*given):
    while not Path("runs 0").exists():
        time.sleep(0.01)
    interrupt()

saves, save, run = [], trainer.Trainer.save, trainer.Trainer.run
trainer.Trainer.save = lambda self: (saves.append(self.step), save(self))[1]
trainer.Trainer.run = lambda self, *given: (Path(f"runs {rank}").touch(), run(self, *given))[1]
trainer.build_tiny = small_model
before("start", trainer, "build_tiny", interrupt_when_the_other_waits)
before("step", trainer.Trainer, "_train_step", interrupt_in_third_step)
before("validation", trainer, "validate", interrupt)
before("step", __main__.dist, "destroy_process_group", lambda: os.kill(os.getpid(), plan["number"]))  # and once more
__main__.main()
Path(f"saves {rank}").write_text(json.dumps(saves), encoding="utf-8")
"""
OPTIONS = (
    "--images 2 --prompt-sets 1 --followed 1 --grid 8 --device cpu --precision float32 --steps 4 --validate-every 2 "
    "--validation-scenes 1 --decay-share 0.2"
)
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def train(folder: Path, launch: tuple[str, ...], plan: dict[str, str | int], *options: str) -> tuple[int, list[str]]:
    """Start `SCRIPT` in a folder and in a process group of its own, and wait for its end.

    Returns:
        its exit status, and the lines of its stdout.
    """
    (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
    for path in (*folder.glob("process *"), *folder.glob("saves *")):
        path.unlink()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    environment["INTERRUPT"] = json.dumps(plan)
    environment["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = "600"  # torchrun kills after 30 seconds; a busy machine needs more
    command = [sys.executable, *launch, "train.py", "--out", "run", *OPTIONS.split(), *options]
    with (folder / "stdout").open("w") as stdout, (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=stdout, stderr=stderr, start_new_session=True
        )
        try:
            status = process.wait(timeout=600)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it did not end: {(folder / 'stderr').read_text(encoding='utf-8')}")
        finally:
            left = [number for number in (process.pid, *groups(folder)) if end_group(number)]
            process.wait()
    assert left == [], "processes were left behind"
    return status, (folder / "stdout").read_text(encoding="utf-8").splitlines()


def groups(folder: Path) -> list[int]:
    """The processes of the run; torchrun gives each a group of its own."""
    return [int(path.read_text(encoding="utf-8")) for path in folder.glob("process *")]


def end_group(number: int) -> bool:
    """Kill a process group, and say whether there was one."""
    try:
        os.killpg(number, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def saves(folder: Path) -> list[list[int]]:
    """The steps at which each process came to save, of those that came to their end."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("saves *"))]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        call(patch, "--out", str(out), *OPTIONS.split())
    return out


def assert_same_run(out: Path, expected: Path) -> None:
    rows, expected_rows = (list(csv.reader((folder / "log.csv").open(encoding="utf-8"))) for folder in (out, expected))
    assert rows[0] == expected_rows[0]
    numbers, expected_numbers = (
        torch.tensor([[float(value or "nan") for value in row] for row in table[1:]]) for table in (rows, expected_rows)
    )
    torch.testing.assert_close(numbers, expected_numbers, rtol=1e-4, atol=1e-6, equal_nan=True)
    state, expected_state = (torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (out, expected))
    assert state["step"] == expected_state["step"]
    for part in ("model", "average", "grouping"):
        for name, value in expected_state[part].items():
            torch.testing.assert_close(state[part][name], value, rtol=1e-4, atol=1e-6, msg=f"{part} {name}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_interrupt_of_the_whole_group_saves_once_and_loses_nothing(
    number: signal.Signals, workers: str, tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`timeout` signals its command, and then the group that the command belongs to."""
    plan = {"place": "step", "rank": 0, "number": number, "to": "group"}
    status, lines = train(tmp_path, (), plan, "--workers", workers)
    assert status == 0
    assert lines[-1] == "Stopped after 3 steps. Everything up to here is in run; go on with --resume."
    assert saves(tmp_path) == [[2, 3]]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(trainer.FILES)
    assert "Traceback" not in (tmp_path / "stderr").read_text(encoding="utf-8")
    call(monkeypatch, "--out", str(tmp_path / "run"), *OPTIONS.split(), "--resume")
    assert_same_run(tmp_path / "run", uninterrupted)


TWO_PROCESSES = {
    "Ctrl-C in a step": ("step", 1, signal.SIGINT, "torchrun", "0", [2, 3], 2),
    "Ctrl-C in a validation": ("validation", 0, signal.SIGINT, "torchrun", "0", [2], 1),
    "Ctrl-C before the first step": ("start", 1, signal.SIGINT, "torchrun", "0", [], 0),
    "SIGTERM in a step": ("step", 0, signal.SIGTERM, "torchrun", "1", [2, 3], 1),
    "SIGTERM to one process": ("step", 1, signal.SIGTERM, "itself", "0", [2, 3], 1),
}
"""Where which process interrupts how whom, with how many workers; at which steps the run is saved; how many processes
go on with it."""


@pytest.mark.parametrize("name", TWO_PROCESSES)
def test_two_processes_stop_at_the_same_step_save_once_and_lose_nothing(
    name: str, tmp_path: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process may wait for the one that is interrupted, in its step or before the run."""
    place, rank, number, to, workers, steps, resumed_by = TWO_PROCESSES[name]
    plan = {"place": place, "rank": rank, "number": number, "to": to}
    status, lines = train(tmp_path, TWO, plan, "--workers", workers)
    errors = (tmp_path / "stderr").read_text(encoding="utf-8")
    assert saves(tmp_path) == [steps, steps], errors
    assert status == (1 if to == "torchrun" else 0), errors  # a signalled torchrun ends with an error of its own
    if not steps:
        assert lines == ["Stopped before the first step; nothing was written."]
        assert not (tmp_path / "run").exists()
        return
    [line] = [line for line in lines if line.startswith("Stopped")]
    assert line == f"Stopped after {steps[-1]} steps. Everything up to here is in run; go on with --resume."
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(trainer.FILES)
    if resumed_by == 2:
        assert train(tmp_path, TWO, {}, "--resume")[0] == 0
    else:
        call(monkeypatch, "--out", str(tmp_path / "run"), *OPTIONS.split(), "--resume")
    assert_same_run(tmp_path / "run", uninterrupted)
