import numpy as np
import pytest
import soundfile

from dialogue_ser.errors import ConfigError, MediaError
from dialogue_ser.features.audio.opensmile import FEATURE_SETS, LOW_LEVEL_DESCRIPTORS, OpenSmile


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_each_set_has_its_size_and_equals_opensmile_itself(spoken, feature_set) -> None:
    import opensmile

    talk = spoken([0.8])
    row = OpenSmile(feature_set=feature_set, processes=1).encode([talk])["train/dia0_utt0"]
    samples, rate = soundfile.read(talk.utterances[0].audio.path, dtype="float32")
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    expected = smile.process_signal(samples, rate).to_numpy()[0]
    assert row.shape == (FEATURE_SETS[feature_set],)
    np.testing.assert_allclose(row, expected, rtol=1e-6)


def test_silence_and_full_scale_give_finite_features(spoken) -> None:
    silent, loud = spoken([0.5], volume=0.0, name="a"), spoken([0.5], volume=1.29, name="b")
    rows = OpenSmile(processes=1).encode([silent, loud])
    assert all(np.isfinite(row).all() for row in rows.values())


def test_a_sample_at_full_scale_does_not_wrap_around(spoken, tmp_path) -> None:
    talk = spoken([0.5, 0.5])
    for turn, peak in zip(talk, (1.0, 0.999), strict=True):
        wave = np.where(np.sin(np.arange(8000) * 0.05) > 0, peak, -peak)
        soundfile.write(turn.audio.path, wave, 16000, subtype="FLOAT")
    full, nearly = OpenSmile(processes=1).encode([talk]).values()
    np.testing.assert_allclose(full, nearly, rtol=0.05, atol=0.5)


def test_too_short_and_missing_clips_are_named_together_or_masked(spoken) -> None:
    talk = spoken([0.5, 0.04, 0.5])
    talk.utterances[2].audio.path.unlink()
    with pytest.raises(MediaError, match=r"row 3 \(train/dia0_utt1\): audio of 0.040 s is too short(.|\n)*row 4"):
        OpenSmile(processes=1).encode([talk])
    encoder = OpenSmile(processes=1, on_bad="mask")
    assert list(encoder.encode([talk])) == ["train/dia0_utt0"]


def test_other_rates_and_stereo_are_resampled_and_the_rate_is_in_the_fingerprint(spoken) -> None:
    low, high = spoken([1.0], rate=16000, name="a"), spoken([1.0], rate=44100, name="b")
    path = high.utterances[0].audio.path
    samples, rate = soundfile.read(path)
    soundfile.write(path, np.stack([samples, samples], axis=1), rate)
    rows = OpenSmile(processes=1).encode([low, high])
    np.testing.assert_allclose(rows["a_utt0"][:1], rows["b_utt0"][:1], rtol=0.01)  # F0 in semitones
    assert OpenSmile(sample_rate_hz=8000).fingerprint() != OpenSmile().fingerprint()


def test_progress_counts_every_clip(spoken) -> None:
    talk = spoken([0.3, 0.02, 0.4])
    encoder = OpenSmile(on_bad="mask")
    seen: list[int] = []
    encoder.on_progress = seen.append
    assert len(encoder.encode([talk])) == 2
    assert seen == [1, 1, 1]


def test_unknown_feature_set_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="eGeMAPSv02, emobase, ComParE_2016"):
        OpenSmile(feature_set="egemaps")


@pytest.mark.parametrize("feature_set", FEATURE_SETS)
def test_low_level_descriptors_are_frames_every_10_ms_and_equal_opensmile_itself(spoken, feature_set) -> None:
    import opensmile

    talk = spoken([0.8, 0.5])
    encoder = OpenSmile(feature_set=feature_set, level="lld", processes=1)
    rows = encoder.encode([talk])
    samples, rate = soundfile.read(talk.utterances[0].audio.path, dtype="float32")
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.LowLevelDescriptors)
    expected = smile.process_signal(samples, rate).to_numpy()
    assert encoder.kind == "frames"
    assert expected.shape[1] == LOW_LEVEL_DESCRIPTORS[feature_set]
    np.testing.assert_allclose(rows["train/dia0_utt0"], expected, rtol=1e-6)
    assert len(rows["train/dia0_utt0"]) - len(rows["train/dia0_utt1"]) == 30


def test_the_pitch_among_the_descriptors_is_that_of_the_tone(spoken) -> None:
    import opensmile

    names = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors).feature_names
    row = OpenSmile(level="lld", processes=1).encode([spoken([1.0])])["train/dia0_utt0"]
    semitones = row[20:70, names.index("F0semitoneFrom27.5Hz_sma3nz")]
    np.testing.assert_allclose(semitones, 12 * np.log2(150 / 27.5), atol=0.2)


def test_descriptors_of_silence_are_finite_and_of_too_short_clips_refused(spoken) -> None:
    for feature_set in FEATURE_SETS:
        encoder = OpenSmile(feature_set=feature_set, level="lld", processes=1)
        (silent,) = encoder.encode([spoken([0.5], volume=0.0, name="a")]).values()
        assert np.isfinite(silent).all()
        with pytest.raises(MediaError, match=r"audio of 0\.010 s is too short"):
            encoder.encode([spoken([0.01], name="b")])


def test_the_level_is_part_of_the_fingerprint_and_an_unknown_one_refused() -> None:
    functionals, descriptors = OpenSmile().fingerprint(), OpenSmile(level="lld").fingerprint()
    assert functionals != descriptors
    assert set(functionals["versions"]) == {"opensmile", "decoder", "av", "soundfile", "soxr"}
    with pytest.raises(ConfigError, match="did you mean 'lld'"):
        OpenSmile(level="llds")
