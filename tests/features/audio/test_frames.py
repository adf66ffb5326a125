"""Good and bad clips in all encoders of acoustic frames, tested through the registry and the pipeline."""

import av
import numpy as np
import pytest
import soundfile

from dialogue_ser.corpus.schema import AudioRef, Dialogue, Utterance
from dialogue_ser.errors import ConfigError, MediaError
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline

FRAMES = {"mfcc39": 39, "logmel": 128, "logmel3": 384, "mel-delta": 384}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_every_turn_with_sound_have_one_width_and_their_own_length(spoken, name) -> None:
    talk = spoken([0.5, 1.0, 0.004])
    silent = Utterance(id="none", speaker="Ross", text="no sound")
    encoder = build_encoder(name, "audio")
    rows = encoder.encode([Dialogue(talk.id, (*talk.utterances, silent))])
    assert encoder.kind == "frames"
    assert list(rows) == [turn.id for turn in talk]
    assert {row.shape[1] for row in rows.values()} == {FRAMES[name]}
    lengths = [len(row) for row in rows.values()]
    assert lengths[1] > 1.5 * lengths[0] > lengths[2] == 1
    assert all(row.dtype == np.float32 and np.isfinite(row).all() for row in rows.values())


@pytest.mark.parametrize("name", FRAMES)
def test_other_rates_give_nearly_the_same_frames(spoken, name) -> None:
    low, high = spoken([0.5], rate=24000, name="a"), spoken([0.5], rate=48000, name="b")
    rows = build_encoder(name, "audio").encode([low, high])
    first, second = (rows[key][2:-2, : 13 if name == "mfcc39" else 128] for key in ("a_utt0", "b_utt0"))
    is_sound = np.ones(first.shape, bool) if name == "mfcc39" else first > -65  # below that there is only rounding
    assert is_sound.sum() > 50
    np.testing.assert_allclose(first[is_sound], second[is_sound], atol=1.0)


def test_unknown_options_and_wrong_types_are_refused(spoken) -> None:
    with pytest.raises(ConfigError, match="did you mean 'n_mels'"):
        build_encoder("logmel", "audio", {"n_mel": 3})
    with pytest.raises(ConfigError, match="mfcc39"):
        build_encoder("mfcc39", "audio", {"n_mels": "many"})


@pytest.mark.parametrize("name", ["logmel", "logmel3", "mel-delta"])
def test_fields_that_an_encoder_fixes_are_no_options(name) -> None:
    for fixed in ({"with_deltas": True}, {"name": "mine"}):
        with pytest.raises(ConfigError, match="unknown option"):
            build_encoder(name, "audio", fixed)


@pytest.fixture
def bad_talk(spoken, tmp_path) -> Dialogue:
    """Three good clips, and one for each fault of a medium."""
    good = spoken([0.5, 0.6, 0.7])
    rate, tone = 16000, np.sin(np.arange(16000) * 0.1).astype(np.float32)
    soundfile.write(tmp_path / "truncated.wav", tone, rate)
    content = (tmp_path / "truncated.wav").read_bytes()
    (tmp_path / "truncated.wav").write_bytes(content[:20000])
    soundfile.write(tmp_path / "none.wav", tone[:0], rate)
    soundfile.write(tmp_path / "nan.wav", np.where(np.arange(16000) == 5, np.nan, tone), rate, subtype="FLOAT")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("this is no sound " * 50)
    with av.open(str(tmp_path / "pictures.mp4"), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(video.encode(picture))
        container.mux(video.encode(None))
    soundfile.write(tmp_path / "fine.wav", tone, rate)
    refs = [AudioRef(tmp_path / name) for name in ("truncated.wav", "none.wav", "nan.wav", "empty.wav", "text.mp3")]
    refs += [AudioRef(tmp_path / "pictures.mp4"), AudioRef(tmp_path / "gone.wav")]
    refs += [AudioRef(tmp_path / "fine.wav", *span) for span in ((0.5, 0.5), (0.7, 0.2), (0.5, 9.0), (3.0, None))]
    faulty = [
        Utterance(id=f"bad{i}", speaker="Joey", audio=ref, origin=f"list.csv row {10 + i}")
        for i, ref in enumerate(refs)
    ]
    return Dialogue("train/dia0", (*good.utterances, *faulty))


FAULTS = (
    r"row 10 \(bad0\): .*truncated WAV",
    r"row 11 \(bad1\): .*holds no samples",
    r"row 12 \(bad2\): .*NaN",
    r"row 13 \(bad3\): .*is empty",
    r"row 14 \(bad4\): .*cannot be decoded",
    r"row 15 \(bad5\): .*has no sound \(found: video\)",
    r"row 16 \(bad6\): .*no such file",
    r"row 17 \(bad7\): .*is empty; its end",
    r"row 18 \(bad8\): .*its end must lie after",
    r"row 19 \(bad9\): .*beyond the end",
    r"row 20 \(bad10\): .*beyond the end",
)


@pytest.mark.parametrize("name", ["mfcc39", "mel-delta", "opensmile"])
@pytest.mark.parametrize("stored", [False, True])
def test_every_fault_of_a_medium_is_named_in_one_error_or_masked(bad_talk, tmp_path, name, stored) -> None:
    import re

    store = FeatureStore(tmp_path / "store") if stored else None
    with pytest.raises(MediaError) as caught:
        FeaturePipeline.build("audio", name).fit([bad_talk], store)
    lines = "\n".join(caught.value.problems)
    assert [fault for fault in FAULTS if not re.search(fault, lines)] == []
    assert len(caught.value.problems) == len(FAULTS) + 1, "and how to mend it"
    masking = FeaturePipeline.build("audio", name, on_bad="mask").fit([bad_talk], store)
    table = masking.table([bad_talk], store)
    assert sorted(table.rows) == [f"train/dia0_utt{i}" for i in range(3)]
    assert {turn.id for turn in bad_talk} - table.rows.keys() == {f"bad{i}" for i in range(len(FAULTS))}
