"""Geometry of every format and shape, against what the packer really writes and the README's formulas."""

from hypothesis import given, settings
from hypothesis import strategies as st
from launches import DESCRIPTOR, Launch, formats, launches

from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import Descriptor, pack_layer


@given(formats)
def test_short_form_is_read_back(form: Format) -> None:
    assert Format.parse(str(form)) == form


@settings(max_examples=60, deadline=None)
@given(launches())
def test_segments_have_the_length_that_geometry_says(launch: Launch) -> None:
    geometry = launch.geometry
    segments = pack_layer(launch.rows, geometry)
    assert [len(s) for s in segments] == [geometry.segment_bytes(c) for c in range(geometry.channels)]
    assert sum(map(len, segments)) == geometry.stream_bytes <= geometry.total_bytes
    assert geometry.channel_stride % 4096 == 0 and max(map(len, segments)) <= geometry.channel_stride


@given(
    formats,
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.sampled_from([64, 128, 256, 512]),
    st.integers(1, 8),
)
def test_geometry_follows_the_page(form: Format, n: int, k: int, beat: int, channels: int) -> None:
    geometry = Geometry(form, n, k, beat, channels)
    assert 32 * (geometry.tiles - 1) < k <= 32 * geometry.tiles
    assert beat // 32 * (geometry.row_blocks - 1) < n <= beat // 32 * geometry.row_blocks
    assert form.group * (geometry.groups - 1) < k <= form.group * geometry.groups
    first, per_word = {"s8": (2, 4), "s6": (2, 5), "s8c8": (1, 2)}[form.scale]
    places = [first + n * per_word for n in range(geometry.header_words)]
    assert geometry.groups <= places[-1] and (len(places) == 1 or geometry.groups > places[-2])
    assert geometry.block_beats == geometry.header_words + form.bits * geometry.tiles
    blocks = [sum(1 for i in range(geometry.row_blocks) if i % channels == c) for c in range(channels)]
    assert [geometry.channel_blocks(c) for c in range(channels)] == blocks
    assert max(blocks) == blocks[0] and geometry.bits_per_weight > form.bits


@settings(max_examples=60, deadline=None)
@given(launches())
def test_descriptors_are_read_back(launch: Launch) -> None:
    raw = launch.memory[DESCRIPTOR : DESCRIPTOR + 64].tobytes()
    assert Descriptor.decode(raw) == launch.descriptor
