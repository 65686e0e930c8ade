"""What a processor reads of a model's weights for one token. All is counted from shapes and formats, none measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from elastix.compiler.manifest import Manifest
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.precision.sites import Site
from elastix.compiler.step.manifest import StepManifest


@dataclass(frozen=True)
class TokenStream:
    """For one token.

    weights: in the matrices that are streamed, a tied head's once; bytes: of their streams, with headers, padding and
    CRC beats; embedding_bytes: of the row blocks that look-ups read, which are not in `bytes`.
    """

    weights: int
    bytes: int
    embedding_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits moved for each weight that is streamed."""
        return 8 * self.bytes / self.weights


def _stream(streamed: Iterable[Geometry], looked_up: Iterable[tuple[Geometry, int]]) -> TokenStream:
    shapes = list(streamed)
    return TokenStream(
        sum(each.rows * each.columns for each in shapes),
        sum(each.stream_bytes for each in shapes),
        sum(each.block_beats * each.beat_bytes * rows for each, rows in looked_up),
    )


def stream_of_manifest(manifest: Manifest | StepManifest) -> TokenStream:
    """Of a compiled model, whose step takes one token."""
    processor = manifest.step_processor if isinstance(manifest, StepManifest) else manifest.processor
    layers = [
        (layer, Geometry(Format.parse(layer.format), layer.rows, layer.columns, processor.beat, processor.channels))
        for layer in manifest.layers
    ]
    streamed = [geometry for layer, geometry in layers if layer.tokens]
    return _stream(streamed, [(geometry, layer.look_ups) for layer, geometry in layers])


def stream_of_sites(
    sites: Iterable[Site], formats: Mapping[str, Format], *, beat: int, channels: int = 1
) -> TokenStream:
    """Of a model as it would be compiled. An embedding of its own is looked up in, a tied one streams as the head."""
    shapes = [(site, Geometry(formats[site.name], site.rows, site.columns, beat, channels)) for site in sites]
    tables = [geometry for site, geometry in shapes if site.block < 0]
    streamed = [geometry for site, geometry in shapes if site.block >= 0]
    return _stream(streamed, [(geometry, 1) for geometry in tables or streamed[-1:]])
