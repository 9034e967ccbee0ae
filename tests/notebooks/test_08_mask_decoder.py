"""Notebook 08: what its prose builds on stands in its outputs (the form of all notebooks: `test_form.py`)."""

import re

from notebook_cells import FOLDER, Notebook

from sam_edu.sam import build_mask_decoder

NOTEBOOK = Notebook("08_mask_decoder")


def test_the_ladder_computes_with_torch_alone() -> None:
    names = list(NOTEBOOK.code)
    for name in names[names.index("r1") : names.index("same-load")]:
        assert not re.search(r"sam_edu|official\.|ablation\.|MultiheadAttention|model\b", NOTEBOOK.sources[name]), name


def test_the_whole_decoder_has_fewer_than_sixty_lines() -> None:
    lines = int(NOTEBOOK.printed("r8-code").split()[0])
    assert lines < 60
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    for text in (NOTEBOOK.sources["title"], NOTEBOOK.sources["same-picture"], readme):
        assert f"{lines} lines" in text
    classes = [name for name, source in NOTEBOOK.code.items() if re.search(r"^class ", source, re.MULTILINE)]
    assert classes == ["r3-code", "r4-code", "r5-code", "r7-code"]
    written = [line for name in classes for line in NOTEBOOK.sources[name].splitlines() if line.strip()]
    assert len(written) == lines  # nothing stands beside the classes that is not counted


def test_it_is_compared_with_ours_and_with_metas() -> None:
    assert "strict=True" in NOTEBOOK.sources["same-load"]
    assert "All keys matched" in NOTEBOOK.printed("same-load")
    assert "4,058,340 numbers in 120 tensors" in NOTEBOOK.printed("same-load")
    assert "model.mask_decoder = yours" in NOTEBOOK.sources["same-click"]
    assert NOTEBOOK.printed("same-compare").count("the same as Meta's") == 2
    assert "74 tensors compared" in NOTEBOOK.printed("same-compare-ours")
    assert NOTEBOOK.printed("same-compare-ours").count("all within tolerance") == 2


def test_the_parity_table_names_every_tensor() -> None:
    assert NOTEBOOK.printed("all-equal").startswith("120 tensors")
    rows = [line.split() for line in NOTEBOOK.printed("all-table").splitlines()]
    named = {row[0]: len(row) - 2 for row in rows}  # a path, its shapes, the difference
    expected: dict[str, int] = {}
    for name in build_mask_decoder().state_dict():
        path = name.rpartition(".")[0]
        expected[path] = expected.get(path, 0) + 1
    assert named == expected
    assert sum(named.values()) == 120
    assert all(float(row[-1]) < 1e-9 for row in rows)


def test_what_the_gradients_cannot_prove_is_printed() -> None:
    first, *lines = NOTEBOOK.printed("all-silent").splitlines()
    assert first == "7 tensors without a gradient:"
    assert sum(line.endswith("k_proj.bias") for line in lines) == 7
    zeros, numbers = (int(x.replace(",", "")) for x in re.findall(r"[\d,]*\d", lines[-1]))
    assert 0 < zeros < numbers < 4_058_340


def test_every_fault_is_found_where_it_is() -> None:
    first = dict(re.findall(r"^(\w+) +first: ([\w.]+)", NOTEBOOK.printed("diverge-table"), re.MULTILINE))
    assert first == {
        "gelu_in_the_blocks": "transformer.layers.0.mlp.hidden",
        "eps_of_the_blocks": "transformer.layers.0.queries_1",
        "block_0_as_block_1": "transformer.layers.0.self_attn.q",
        "gelu_by_tanh": "output_upscaling.activated_twice",
        "two_mlps_exchanged": "hyper_in",
    }
    verdicts = re.findall(r"(same|DIFFERS)$", NOTEBOOK.printed("diverge-rows"), re.MULTILINE)
    assert verdicts == ["same", "same", "DIFFERS", "DIFFERS", "same"]


def test_new_norms_hide_an_exchange_and_trained_ones_do_not() -> None:
    new, trained = NOTEBOOK.printed("diverge-blind-code").splitlines()
    assert new.endswith("None")
    assert trained.endswith("transformer.layers.0.queries_1")


def test_three_models_have_one_decoder() -> None:
    shares = re.findall(r"decoder 4,058,340 \(([\d.]+)% of ([\d,]+)\)", NOTEBOOK.printed("config-count"))
    assert shares == [("4.33", "93,735,472"), ("1.30", "312,342,832"), ("0.63", "641,090,608")]
    assert re.search(r"num_heads .* \+0 parameters", NOTEBOOK.printed("config-change"))


def test_two_images_pass_silently_or_fail_in_metas_and_are_refused_or_right_in_ours() -> None:
    metas, ours = (NOTEBOOK.printed(name).splitlines() for name in ("batch-meta", "batch-ours"))
    assert ["masks" in line for line in metas] == [True, True, True, False, False]
    assert ["masks" in line for line in ours] == [True, True, False, False]
    assert "image_of_each_prompt_set" in ours[-1]


def test_bytes_are_counted_from_the_storage() -> None:
    assert "untyped_storage" in NOTEBOOK.sources["memory-storage"]
    assert re.search(r"64 prompt sets:.* stores 4 MiB .* stores 256 MiB", NOTEBOOK.printed("memory-storage"))
    lines = [line.split() for line in NOTEBOOK.printed("memory-forward-code").splitlines()]
    assert [(line[0], line[2], line[5]) for line in lines] == [("src", "16", "16"), ("pos_src", "16", "4")]


def test_both_budgets_add_up() -> None:
    assert "4,058,340 parameters, 3,622,604,800 FLOP" in NOTEBOOK.printed("budget-sum")
    assert [line.split(": ")[1].split()[0] for line in NOTEBOOK.printed("budget-image").splitlines()] == ["74%", "22%"]


def test_clear_prompts_train_one_of_three() -> None:
    assert "three outputs: [0.1, 0.4, 0.9]" in NOTEBOOK.printed("why-toy")
    steps = re.search(r"\[(\d+), (\d+), (\d+)\]", NOTEBOOK.printed("why-clear"))
    assert steps
    assert sorted(map(int, steps.groups())) == [0, 0, 200]


def test_a_sample_of_the_statistics_is_recomputed() -> None:
    assert "ablation.recompute_prompts(" in NOTEBOOK.sources["head-sample"]
    assert NOTEBOOK.printed("head-sample").count("computed now: as stored") == 3


def test_the_head_cannot_change_a_mask() -> None:
    assert "np.array_equal(changed, masks)" in NOTEBOOK.sources["switch-code"]
    assert "assert np.array_equal(swapped, masks)" in NOTEBOOK.sources["switch-swap"]


def test_a_message_names_what_is_wrong_with_a_file() -> None:
    messages = NOTEBOOK.printed("load-errors-code").strip().split("\n\n")
    expected = ("Meta publishes", "there is no file", "is a web page", "does not fit the model vit_b")
    assert len(messages) == len(expected)
    assert all(part in message for part, message in zip(expected, messages, strict=True))


def test_no_prose_states_a_number_of_the_trained_model() -> None:
    prose = NOTEBOOK.prose(NOTEBOOK.between("trained", "load"))
    assert not re.search(r"\d\.\d\d|\d+ ?%", prose)
