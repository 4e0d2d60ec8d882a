"""What the default install and a start weigh."""

from __future__ import annotations

from benchmarks import footprint
from tests.classifiers import kit

MOST_INSTALLED_MB = 165.0 * 3.2  # a wheel takes about a third: 138 MB of downloads are 455 MB on disk
MOST_RESIDENT_MB = 300.0


def test_the_default_install_stays_light() -> None:
    """No PyTorch, no transformers, and all libraries together within what compresses to the limit (weights apart)."""
    libraries = footprint.closure()
    assert {"torch", "transformers", "sentence-transformers", "nvidia-cublas"} & libraries == set()
    assert {"onnxruntime", "tokenizers", "scikit-learn"} <= libraries
    assert sum(footprint.on_disk(name) for name in libraries) / 1e6 < MOST_INSTALLED_MB


def test_a_start_stays_small() -> None:
    """A fresh process answers with no training library loaded and little memory; its time is measured, not judged."""
    found = footprint.cold_start(kit.model_dir(), starts=1)
    assert found["heavy"] == []
    assert found["rss_mb"] < MOST_RESIDENT_MB
    assert found["cold_start_s"] > 0
