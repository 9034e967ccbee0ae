"""sam_edu.official.package: reaching Meta's package without importing it."""

import sys
import textwrap

import pytest
from official_cases import TORCHVISION, USE, run_python, write_torchvision

from sam_edu import official
from sam_edu.official.package import load_with

IMPORT = """
    try:
        import segment_anything
        print("imported", sorted(name for name in vars(segment_anything) if not name.startswith("_")))
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_real_import_gives_the_same_as_before():
    """Here with torchvision, or without it: in either case as if official had never been used."""
    before, used, after = run_python(
        f"""
        import subprocess
        clean = {textwrap.dedent(IMPORT)!r}
        print(subprocess.run([sys.executable, "-c", clean], capture_output=True, text=True).stdout.strip())
        """
        + textwrap.indent(textwrap.dedent(USE), " " * 8)
        + """
        print([name for name in sys.modules if name.partition(".")[0] == "segment_anything"])
        """
        + textwrap.indent(textwrap.dedent(IMPORT), " " * 8)
    )
    assert used == "[]"
    assert after == before


def test_real_import_works_afterwards_where_torchvision_is(tmp_path):
    write_torchvision(tmp_path, TORCHVISION)
    used, imported, separate, converted = run_python(
        textwrap.dedent(USE)
        + textwrap.dedent("""
        print([name for name in sys.modules if name.partition(".")[0] == "segment_anything"])
        import segment_anything, torchvision.transforms.functional as functional
        print(sorted(segment_anything.sam_model_registry))
        real = segment_anything.modeling.transformer.Attention
        print(real is not official.official_class("Attention"), functional.resize.__module__)
        print(type(official.from_official(real(8, 2))).__module__)
        """),
        str(tmp_path),
    )
    assert used == "[]"
    assert imported == "['default', 'vit_b', 'vit_h', 'vit_l']"
    assert separate == "True torchvision.transforms.functional"
    assert converted == "sam_edu.modules.attention"


def test_a_package_without_the_file_is_refused():
    official.modeling()  # which makes the package that the file is looked for in
    with pytest.raises(official.OfficialPackageMissingError, match=r"no file for .*\.none; version 1\.0 does"):
        load_with("none", {})


def test_package_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "segment_anything", None)  # as if there were none
    for name in [name for name in sys.modules if name.startswith("_segment_anything_of_sam_edu")]:
        monkeypatch.delitem(sys.modules, name)
    for call in (official.package_folder, official.modeling, official.build_image_encoder):
        with pytest.raises(official.OfficialPackageMissingError, match="pip install segment-anything"):
            call()
    assert issubclass(official.OfficialPackageMissingError, ImportError)


def test_package_folder_is_found_without_importing():
    assert (official.package_folder() / "modeling" / "mask_decoder.py").is_file()
    assert official.modeling() is official.modeling()
    assert official.official_class("MaskDecoder") is official.modeling().MaskDecoder
    with pytest.raises(ValueError, match="expected one of MLP, "):
        official.official_class("Decoder")
