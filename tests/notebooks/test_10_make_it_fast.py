"""Notebook 10: what its prose builds on stands in its outputs (the form of all notebooks: `test_form.py`).

Nothing here depends on a time: cells that print a time only have to print.
"""

import re

from notebook_cells import FOLDER, Notebook

from sam_edu import benchmarks, timing
from sam_edu.fast import fast_mask_decoder

NOTEBOOK = Notebook("10_make_it_fast")
FAST = FOLDER.parent / "sam_edu" / "fast" / "fast_mask_decoder.py"


def tagged(name: str) -> bool:
    return "machine-dependent" in NOTEBOOK.cells[name]["metadata"].get("tags", [])


def test_every_cell_that_shows_a_time_or_the_machine_is_tagged() -> None:
    for name, source in NOTEBOOK.code.items():
        timed = re.search(r"timing\.(interleave|seconds|machine|matrix_peak|Busy)|^race\(", source, re.MULTILINE)
        assert tagged(name) or not timed or name == "race", name  # "race" only defines the race


def test_every_figure_of_times_names_its_machine() -> None:
    assert NOTEBOOK.printed("quiet").startswith("CPU: ")
    assert "1 thread(s)" in NOTEBOOK.printed("quiet")
    for name, source in NOTEBOOK.code.items():
        if re.search(r"figures\.(step_times|roofline)", source):
            assert "note=where" in source, name


def test_every_optimisation_is_checked_and_timed() -> None:
    everything = "\n".join(NOTEBOOK.code.values())
    names = re.findall(r'^ways\["([^"]+)"\] = ways', everything, re.MULTILINE)
    assert len(names) == 9
    races = re.findall(r'^race\("([^"]+)", "([^"]+)"\)', everything, re.MULTILINE)
    assert races == list(zip(["plain", *names], names, strict=False))
    raced = [name for name, source in NOTEBOOK.code.items() if re.search(r"^race\(", source, re.MULTILINE)]
    assert raced == [f"r{rung}-time" for rung in (*range(5, 13), 14)]
    for name in ("plain", *names):
        assert f'assert equals_meta("{name}")' in everything, name
    for name in names:
        assert re.search(rf"^{re.escape(name)}: [\d.]+ \([\d.]+ to [\d.]+\) times", _output(name), re.MULTILINE), name


def _output(way: str) -> str:
    [cell] = [
        name
        for name, source in NOTEBOOK.code.items()
        if re.search(rf'^race\(.*"{re.escape(way)}"\)', source, re.MULTILINE)
    ]
    return NOTEBOOK.printed(cell)


def test_operations_are_counted_by_hand() -> None:
    assert "one click: 3.62 GFLOP" in NOTEBOOK.printed("r2")
    shares = dict(re.findall(r"^(.+?)  +[\d.]+ M +([\d.]+)%", NOTEBOOK.printed("r2"), re.MULTILINE))
    assert float(shares["project image tokens"]) > 70  # "three quarters"
    assert float(shares["MLPs (3)"]) < 1
    assert "15 tokens, 120 rows" in NOTEBOOK.printed("r4-pays")
    assert "42.67 operations per byte" in NOTEBOOK.printed("r3-points")
    assert "MLPs (3):    51.8% of the parameters" in NOTEBOOK.printed("read-small")


def test_the_table_names_what_the_file_holds() -> None:
    table = re.findall(r"^\| [\d, ]+ \| (.*) \|$", NOTEBOOK.sources["same"], re.MULTILINE)
    named = re.findall(r"`([\w.]+)`", " ".join(table))
    assert len(table) == 8
    for name in named:
        thing = fast_mask_decoder
        for part in name.split("."):
            thing = getattr(thing, part)
    functions = set(re.findall(r"^def (\w+)", FAST.read_text(), re.MULTILINE))
    assert {name for name in functions if not name.startswith("_")} <= set(named)


def test_gradients_and_changed_weights_are_shown() -> None:
    first, second = re.findall(r"norm ([\d.e+-]+)", NOTEBOOK.printed("same-stale"))
    assert abs(float(first) / float(second) - 1) < 1e-3
    assert "weight.data.mul_" in NOTEBOOK.sources["same-stale"]


def test_a_machine_without_a_compiler_gets_a_message_and_no_skip() -> None:
    assert "except Exception as error" in NOTEBOOK.sources["compile-code"]
    assert re.search(r"to compile it took|torch.compile failed here", NOTEBOOK.printed("compile-code"))


def test_all_versions_are_compared_in_the_same_rounds() -> None:
    assert (
        "interleave_laps({name: partial(decode, way, four) for name, way in ways.items()}"
        in NOTEBOOK.sources["r14-all"]
    )
    printed = re.findall(r"^(.+?) +[\d.]+ \(", NOTEBOOK.printed("r14-all"), re.MULTILINE)
    assert len(printed) == 10
    assert (printed[0], printed[-1]) == ("plain", "never stored")


def test_cliff_and_layout_are_separated() -> None:
    lines = re.findall(r"^(.+?) +[\d.]+ \(", NOTEBOOK.printed("r7-cliff"), re.MULTILINE)
    assert lines == [
        *(f"rows of {length}" for length in (7, 8, 15, 16, 32, 4096)),
        "rows of 7, filled to 16",
        "rows of 7, by hand",
        "7 by 4096, over the 7",
    ]
    assert NOTEBOOK.sources["r7-cliff"].count("assert_close(") == 3  # none of the three changes a result


def test_the_form_that_is_never_stored_has_a_version_with_numbers_of_one_digit() -> None:
    given = re.findall(r"\d+\.0", NOTEBOOK.sources["r14-small"])
    assert len(given) == 19
    assert max(map(len, given)) == 3
    first, second = NOTEBOOK.printed("r14-small").splitlines()
    assert first == "click 1: image tokens [[4, 3], [4, 1], [5, 6]]; W applied: [10, 6, 17]"  # as the prose has it
    assert second.startswith("click 2: ")


def test_ratios_that_are_compared_have_rounds_enough_for_quartiles() -> None:
    for cell in ("race", "r7-cliff", "r14-all", "compile-code"):
        [rounds] = re.findall(r"rounds=(\d+)", NOTEBOOK.sources[cell])
        assert int(rounds) >= timing.ROUNDS_FOR_QUARTILES, cell


def test_the_compiler_is_given_both_orders_of_the_product() -> None:
    """Only so can be said that it does no algebra."""
    assert '(("plain", write), ("rung 8", write_folded))' in NOTEBOOK.sources["compile-code"]


def test_first_clicks_are_counted() -> None:
    """It pays at the first click, in full from the fourth on; for one click the encoder has nearly all of the work."""
    rows = re.findall(r"click (\d): ([\d.]+) GFLOP, Meta's ([\d.]+); so far (\d+)%", NOTEBOOK.printed("first-count"))
    gflop = [float(row[1]) for row in rows]
    assert float(rows[0][2]) > gflop[0] > gflop[2] > gflop[3] == gflop[5]
    shares = [int(found) for found in re.findall(r"share +(\d+)%", NOTEBOOK.printed("amdahl"))]
    assert shares == sorted(shares)
    assert shares[0] < 2
    assert shares[-1] > 70


def test_half_precision_is_measured_in_pixels_beside_a_control() -> None:
    lines = re.findall(r"^(.+): ([\d.]+)% of the pixels flipped", NOTEBOOK.printed("half-code"), re.MULTILINE)
    assert [name for name, _ in lines] == ["FastMaskDecoder, float32", "bf16, autocast", "bf16, all of it"]
    assert float(lines[0][1]) < 0.001
    assert "247 clicks" in NOTEBOOK.printed("half-code")


def test_numbers_of_a_gpu_are_those_of_its_report() -> None:
    report, printed = benchmarks.report("nvidia_h200"), NOTEBOOK.printed("read-gpu-code")
    assert "GPU: NVIDIA H200" in printed
    for batch in (1, 16, 64, 256):
        for row in report.rows("Precisions", case=f"batch {batch}"):
            assert re.search(rf"batch +{batch},.*{row['precision']} {re.escape(row['Meta / fast'])}", printed), row
    times = {
        row["decoder"]: float(row["times as long as fast"].split()[0])
        for row in report.rows("Against Meta's decoder", batch=1)
    }
    assert min(times, key=times.__getitem__) == "fast, torch.compile and CUDA graph"  # "gain most"
    assert times["fast, CUDA graph"] < 0.5
    assert 0.8 < times["Meta, torch.compile"] < 1.05  # "as fast as this one"


def test_fewer_positions_are_tried_from_all_to_few() -> None:
    lines = re.findall(r"^(.+?) +IoU with", NOTEBOOK.printed("ex3-print"), re.MULTILINE)
    assert lines == ["all positions", *(f"{keep} of 4096" for keep in (1024, 256, 64, 16, 4))]


def test_there_are_no_new_rows() -> None:
    assert NOTEBOOK.printed("shape-table-code").startswith("0 new rows")
    assert "FastMaskDecoder passes no trace point" in NOTEBOOK.printed("shape-table-code")
