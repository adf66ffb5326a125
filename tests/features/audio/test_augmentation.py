from dataclasses import replace

import numpy as np
import pytest

from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError, MediaError
from dialogue_ser.features.audio.augmentation import (
    Augmentation,
    VariantPicker,
    draw_effects,
    replace_by_variants,
    variant_id,
    with_variant_rows,
)
from dialogue_ser.features.audio.mfcc import mfcc39
from dialogue_ser.features.audio.opensmile import OpenSmile
from dialogue_ser.features.store.content_keys import content_keys
from dialogue_ser.features.store.feature_store import FeatureStore

ALL = Augmentation(
    copies=2, noise_snr_db=(5, 30), pitch_semitones=(-2, 2), stretch=(0.9, 1.1), shift_seconds=(-0.1, 0.1)
)


def test_draws_depend_on_seed_utterance_and_copy_alone_and_fill_their_ranges():
    assert draw_effects(ALL, "u1", 1) == draw_effects(ALL, "u1", 1)
    others = [draw_effects(ALL, "u2", 1), draw_effects(ALL, "u1", 2), draw_effects(replace(ALL, seed=1), "u1", 1)]
    assert draw_effects(ALL, "u1", 1) not in others
    drawn = [draw_effects(ALL, f"u{i}", 1) for i in range(2000)]
    for name, (low, high) in ALL.ranges.items():
        values = np.array([getattr(effects, name) for effects in drawn])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    assert len({effects.noise_seed for effects in drawn}) == 2000


def test_without_one_effect_the_others_stay_the_same():
    fewer = replace(ALL, stretch=())
    assert draw_effects(fewer, "u1", 1) == replace(draw_effects(ALL, "u1", 1), stretch=1.0)


def test_each_effect_has_its_probability_and_every_variant_has_an_effect():
    some = replace(ALL, probability=0.5)
    drawn = [draw_effects(some, f"u{i}", 1) for i in range(2000)]
    assert np.mean([effects.noise_snr_db is not None for effects in drawn]) == pytest.approx(0.5 + 0.5**4 / 4, abs=0.04)
    nothing = [e for e in drawn if (e.stretch, e.pitch_semitones, e.shift_seconds, e.noise_snr_db) == (1, 0, 0, None)]
    assert nothing == []


def test_variants_differ_in_id_and_effects_only_and_keep_turns_without_sound(spoken):
    talk = spoken([0.3, 0.4])
    silent = replace(talk.utterances[1], audio=None)
    (varied,) = replace_by_variants([replace(talk, utterances=(talk.utterances[0], silent))], ALL, 2)
    first, second = varied.utterances
    assert (first.id, second.id) == ("train/dia0_utt0#variant2", "train/dia0_utt1#variant2")
    assert first.audio.effects == draw_effects(ALL, "train/dia0_utt0", 2)
    assert second.audio is None
    original = talk.utterances[0]
    assert replace(first, id=original.id, audio=replace(first.audio, effects=None)) == original


@pytest.mark.parametrize("encoder", [mfcc39(), OpenSmile(processes=1), OpenSmile(level="lld", processes=1)])
def test_every_encoder_applies_the_effects_and_the_store_keeps_each_variant_separately(spoken, tmp_path, encoder):
    talk = spoken([0.5, 0.6])
    store, asked = FeatureStore(tmp_path / "store"), []
    encode = encoder.encode

    class Counting(type(encoder)):
        def encode(self, dialogues):
            asked.extend(turn.id for turn in utterances(dialogues))
            return encode(dialogues)

    encoder.__class__ = Counting
    tables = [
        store.table(encoder, dialogues)
        for dialogues in ([talk], *(replace_by_variants([talk], ALL, k) for k in (1, 2)))
    ]
    values = [table[variant_id("train/dia0_utt0", k)] for k, table in enumerate(tables)]
    assert len({value.tobytes() for value in values}) == 3
    assert len(asked) == 6
    again = FeatureStore(tmp_path / "store").table(encoder, replace_by_variants([talk], ALL, 2))
    assert len(asked) == 6, "computed once, mapped from disk ever after"
    assert all(np.array_equal(again[key], tables[2][key]) for key in again)
    store.table(encoder, replace_by_variants([talk], replace(ALL, seed=9), 1))
    assert len(asked) == 8, "another seed is another variant"


def test_store_keys_of_clips_without_effects_have_not_changed(spoken):
    talk = spoken([0.3])
    traits = mfcc39().traits
    (plain,) = content_keys([talk], traits).values()
    (varied,) = content_keys(replace_by_variants([talk], ALL, 1), traits).values()
    import hashlib
    import json

    digest = hashlib.sha256(talk.utterances[0].audio.path.read_bytes()).hexdigest()
    as_before = hashlib.sha256(json.dumps([0, [[[digest, None, None]]]]).encode()).hexdigest()
    assert plain == as_before
    assert varied != plain


def test_a_variant_that_cannot_be_made_is_named_and_can_be_masked(spoken):
    talk = spoken([0.003])
    (varied,) = replace_by_variants([talk], replace(ALL, noise_snr_db=()), 1)
    with pytest.raises(MediaError, match=r"row 2 \(train/dia0_utt0#variant1\): .*\.wav: 48 samples are too few"):
        mfcc39().encode([varied])
    assert mfcc39(on_bad="mask").encode([varied]) == {}


def test_rows_of_variants_fall_back_to_the_originals(dialogue):
    talk = dialogue(["a", "b", "c"])
    ids = [turn.id for turn in talk]
    rows = {ids[0]: np.zeros(1), ids[1]: np.ones(1), "dev/x": np.ones(1)}
    own = {variant_id(ids[0], 1): np.full(1, 5.0)}
    found = with_variant_rows(rows, own, [talk], 2)
    assert found[variant_id(ids[0], 1)] == 5
    assert found[variant_id(ids[0], 2)] is rows[ids[0]]
    assert found[variant_id(ids[1], 1)] is rows[ids[1]]
    assert not any(key.startswith((ids[2], "dev/x#")) for key in found), "no row, no variant; nothing but train"


def test_every_epoch_picks_each_variant_as_often_and_is_a_pure_function(dialogue):
    talks = [dialogue(["x"] * 50, name=f"d{i}") for i in range(40)]
    pick = VariantPicker(2)
    first = pick(talks, 1, 1)
    assert first == pick(talks, 1, 1)
    assert first != pick(talks, 1, 2)
    assert first != pick(talks, 2, 1)
    endings = [turn.id.partition("#")[2] for turn in utterances(first)]
    assert [endings.count(name) / 2000 for name in ("", "variant1", "variant2")] == pytest.approx([1 / 3] * 3, abs=0.05)
    assert [turn.id.partition("#")[0] for turn in utterances(first)] == [turn.id for turn in utterances(talks)]


def test_settings_out_of_range_are_all_named():
    with pytest.raises(ConfigError) as caught:
        Augmentation(copies=-1, noise_snr_db=(5,), pitch_semitones=(3, -3), stretch=(0.1, 1), probability=0, seed=-1)
    assert len(caught.value.problems) == 6
    with pytest.raises(ConfigError, match="2 copies without any effect; give one of noise_snr_db, pitch_semitones"):
        Augmentation(copies=2)
