"""The encoder as served: near its reference, patient with any length, honest about what it cannot read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import triage_sets
from classifiers import build, encoder, errors, folders
from classifiers.encoder import BATCH_ROWS, BATCH_TOKENS, BUCKET_SLACK, MANIFEST, MAX_TOKENS, MODEL, TOKENIZER
from tests.classifiers import kit


class TestEncode:
    """Texts to vectors."""

    def test_it_is_near_the_reference(self) -> None:
        """int8, with every token counting the same, against embeddings that PyTorch computed in float64: mean cosine at
        least 0.99, least 0.96.
        """
        with np.load(build.REFERENCE, allow_pickle=False) as file:
            texts, wanted = [str(text) for text in file["texts"]], file["embeddings"]
        usual = triage_sets.usual(folders.paths(kit.model_dir()).encoder)
        cosines = (usual.encode(texts).vectors * wanted).sum(axis=1)
        assert float(cosines.mean()) >= build.INT8_MEAN
        assert float(cosines.min()) >= build.INT8_LEAST

    def test_company_hardly_matters(self) -> None:
        """A text in a mixed batch keeps the direction it has alone: int8 scales are shared within a batch."""
        texts = [text for text, _ in kit.golden("en")]
        together = kit.encoder().encode(texts).vectors
        alone = np.concatenate([kit.encoder().encode([text]).vectors for text in texts])
        assert float((together * alone).sum(axis=1).min()) > 0.98

    def test_threads_change_nothing(self) -> None:
        """What is run together does not depend on the threads, so a machine with other cores gives the same vectors."""
        texts = [text for text, _ in kit.golden("en")]
        single = encoder.load(folders.paths(kit.model_dir()).encoder, threads=1).encode(texts)
        assert np.array_equal(single.vectors, kit.encoder().encode(texts).vectors)

    @pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be taken away here")
    def test_processors_that_are_not_its_own_are_not_counted(self) -> None:
        """In a process that may use one processor of many, nothing is shared out among threads."""
        code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
        code += "from classifiers import encoder; print(encoder.processors())"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert told == "1\n"
        assert encoder.processors() == len(os.sched_getaffinity(0))

    def test_nothing_gives_nothing(self) -> None:
        """An empty list is an answer, too."""
        encoded = kit.encoder().encode([])
        assert (encoded.vectors.shape, encoded.unknown.shape) == ((0, kit.encoder().width), (0,))

    def test_a_long_text_is_cut(self) -> None:
        """More tokens than the model was made for are left out."""
        assert [len(ids) for ids in kit.encoder().tokens(["word " * 1000, "word"])] == [MAX_TOKENS, 3]

    def test_it_reads_tokens_as_transformers_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same ids as the library that the model was made with, whatever the text."""
        monkeypatch.setenv("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # PyTorch is not here, by design
        transformers = pytest.importorskip("transformers")
        names = {f"{name.lower()}_token": f"[{name}]" for name in ("UNK", "PAD", "CLS", "SEP", "MASK")}
        path = folders.paths(kit.model_dir()).encoder / TOKENIZER
        core = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path), **names).backend_tokenizer
        core.enable_truncation(MAX_TOKENS)
        core.no_padding()
        odd = ["", "[CLS] [MASK] [unk] x", "\u0301" * 50, "word " * 1000, "é ü 你好 🙂", "a\u200db\ufdfa", "x" * 3000]
        texts = [*odd, *(text for language in ("en", "zh") for text, _ in kit.golden(language))]
        assert kit.encoder().tokens(texts) == [encoding.ids for encoding in core.encode_batch(texts)]

    def test_chinese_is_mostly_unknown_to_it(self) -> None:
        """The share of [UNK] tells what it cannot read."""
        unknown = kit.encoder().encode(["我的快递三天没动静了，麻烦查一下", "where is my parcel", ""]).unknown
        assert unknown[0] > 0.3
        assert unknown[1] == unknown[2] == 0.0


@given(lengths=st.lists(st.integers(1, MAX_TOKENS), max_size=200))
def test_buckets_take_every_row_once(lengths: list[int]) -> None:
    """Rows of a run are few and of similar length, and none is lost or doubled."""
    groups = list(encoder.buckets(lengths))
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        sizes = [lengths[row] for row in group]
        assert len(group) <= BATCH_ROWS
        assert len(group) == 1 or max(sizes) * len(group) <= BATCH_TOKENS
        assert max(sizes) <= BUCKET_SLACK * min(sizes) + 2


class TestVerify:
    """A folder that is not what was prepared is refused, with the fix."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A copy of the prepared encoder."""
        return Path(shutil.copytree(folders.paths(kit.model_dir()).encoder, tmp_path / "encoder"))

    @pytest.mark.parametrize("name", [MODEL, TOKENIZER])
    def test_a_changed_file_is_refused(self, folder: Path, name: str) -> None:
        """One flipped byte is enough."""
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(errors.ModelDamaged, match=rf"{name} is not the file .* run: python -m classifiers\.build"):
            encoder.load(folder)

    @pytest.mark.parametrize("name", [MODEL, TOKENIZER])
    def test_a_missing_file_is_refused(self, folder: Path, name: str) -> None:
        """So is a file that is gone."""
        (folder / name).unlink()
        with pytest.raises(errors.ModelDamaged, match="a file is gone"):
            encoder.load(folder)

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "{}",
            f'{{"format": {encoder.FORMAT}, "files": {{}}}}',
            f'{{"format": {encoder.FORMAT}, "files": 3}}',
        ],
    )
    def test_a_broken_manifest_is_refused(self, folder: Path, content: str) -> None:
        """And a manifest that is no manifest."""
        (folder / MANIFEST).write_text(content)
        with pytest.raises(errors.ModelDamaged, match="run: python -m classifiers"):
            encoder.load(folder)

    def test_a_newer_format_is_refused(self, folder: Path) -> None:
        """A model of another version of the product is not guessed at."""
        manifest = json.loads((folder / MANIFEST).read_text())
        (folder / MANIFEST).write_text(json.dumps(manifest | {"format": 99}))
        with pytest.raises(errors.ModelDamaged, match="another version"):
            encoder.load(folder)

    def test_no_model_is_another_error(self, tmp_path: Path) -> None:
        """Nothing prepared yet: the command that prepares it is named."""
        with pytest.raises(errors.ModelMissing, match="run: python -m classifiers"):
            encoder.load(tmp_path / "encoder")
