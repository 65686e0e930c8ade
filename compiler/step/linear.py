"""LINEAR and EMBED: packed weights, and what happens to results on their way."""

from dataclasses import dataclass

from elastix.compiler.image import LayerPlace
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.step.emitter import At, Emitter, Held


def weight_fields(place: LayerPlace, part: int = 0) -> dict[str, int]:
    """The fields that say what the weights of a layer, or of a part of it, are and where."""
    geometry, form = place.part, place.geometry.format
    return {
        "bits": form.bits,
        "scale_format": form.scale_code,
        "c9": form.c9,
        "row_blocks": geometry.row_blocks,
        "tiles": geometry.tiles,
        "group_tiles": form.group_tiles,
        "header_words": geometry.header_words,
        "weights": place.part_address(part),
        "block_beats": geometry.block_beats,
        "channel_stride": geometry.channel_stride,
    }


@dataclass
class Parts:
    """The LINEARs of a layer, of which those of the first parts are emitted. place: None if all are."""

    held: Held
    place: LayerPlace | None
    operation: Operation
    second: Held | None
    bias: str
    emitted: int = 0

    def emit(self, emitter: Emitter, rows: int) -> bool:
        """Emit what gives the first `rows` results, or more; whether there was anything to emit."""
        before = self.emitted
        while self.place is not None and self.emitted < self.place.parts and self.emitted * self.place.part.rows < rows:
            self._part(emitter, self.place, self.emitted)
            self.emitted += 1
        return self.emitted > before

    def _part(self, emitter: Emitter, place: LayerPlace, part: int) -> None:
        held, rows = self.held, place.part.rows
        first, maximum = part * rows, Maximum.MAGNITUDE_KEEP if part else Maximum.MAGNITUDE
        fields = {
            **weight_fields(place, part),
            "rows": rows,
            "operation": Operation.ADD_CONSTANT if self.bias else self.operation,
            "target": Target.VECTOR,
            "lane_stride": held.frame,
            "maximum": maximum if held.maximum else Maximum.NONE,
        }
        buffers: dict[str, At] = {"to": held.at(0, first)}
        if self.bias:
            buffers["from"] = (emitter.parameter(self.bias), first)
        elif self.second is not None:
            buffers["from"] = self.second.at(0, first)
        if held.maximum:
            buffers["max_register"] = (held.maximum, 0)
        emitter.emit(Opcode.LINEAR, fields, buffers)


def linear(
    emitter: Emitter, place: LayerPlace, operation: Operation, second: Held | None, bias: str, *, maximum: bool
) -> Parts:
    """All tokens times the weights at `place`, to vector memory: room for the results, and LINEARs to be emitted.

    second: b of ADD and MULTIPLY, as long as the results. bias: name of a stored vector that is added; then `operation`
    is COPY.
    """
    held = emitter.hold(place.name.removesuffix(".weight"), place.geometry.rows, maximum=maximum)
    return Parts(held, place, operation, second, bias)


def logits(emitter: Emitter, place: LayerPlace) -> None:
    """All tokens times the weights at `place`, to memory, with the arg max of each token."""
    fields = {
        **weight_fields(place),
        "rows": place.geometry.rows,
        "target": Target.MEMORY,
        "arg_max": 1,
        "to": emitter.memory.logits_address,
        "lane_stride": emitter.memory.logits_stride,
    }
    emitter.emit(Opcode.LINEAR, fields, {})


def embed(emitter: Emitter, place: LayerPlace, *, maximum: bool) -> Held:
    """Each token's row of a packed table."""
    held = emitter.hold("embedding", place.geometry.columns, maximum=maximum)
    for lane in emitter.lanes:
        emitter.emit(Opcode.EMBED, {**weight_fields(place), "lane": lane}, {"to": held.at(lane)})
    _track(emitter, held)
    return held


def load_rows(emitter: Emitter, table: str, columns: int, *, maximum: bool) -> Held:
    """Each token's row, by position, of a table in fp32."""
    place = emitter.memory.parameter(table)
    held = emitter.hold("positions", columns, maximum=maximum)
    for lane in emitter.lanes:
        stride = 4 * place.shape[1]
        emitter.load(held.at(lane), Target.VECTOR, place.address, columns, stride=stride, lane=lane)
    _track(emitter, held)
    return held


def _track(emitter: Emitter, held: Held) -> None:
    """The largest magnitudes of what is held already, where they are wanted."""
    for lane in emitter.lanes if held.maximum else ():
        emitter.track(lane, held.count, held.at(lane), (held.maximum, lane))
