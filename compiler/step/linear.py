"""LINEAR: a packed layer, and what happens to its results on their way."""

from elastix.compiler.image import LayerPlace
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.step.emitter import At, Emitter, Held


def weight_fields(place: LayerPlace) -> dict[str, int]:
    """The fields that say what the weights of a layer are and where."""
    geometry, form = place.geometry, place.geometry.format
    return {
        "bits": form.bits,
        "scale_format": form.scale_code,
        "c9": form.c9,
        "row_blocks": geometry.row_blocks,
        "tiles": geometry.tiles,
        "group_tiles": form.group_tiles,
        "header_words": geometry.header_words,
        "weights": place.address,
        "block_beats": geometry.block_beats,
        "channel_stride": geometry.channel_stride,
    }


def linear(
    emitter: Emitter,
    place: LayerPlace,
    operation: Operation,
    second: Held | None,
    bias: str,
    *,
    maximum: bool,
    memory: bool,
) -> Held:
    """All tokens times the weights at `place`.

    second: b of ADD and MULTIPLY. bias: name of a stored vector that is added; then `operation` is COPY. memory: these
    are the logits.
    """
    fields = {**weight_fields(place), "rows": place.geometry.rows, "operation": operation}
    if memory:
        logits = {"target": Target.MEMORY, "to": emitter.memory.logits_address, "arg_max": 1}
        emitter.emit(Opcode.LINEAR, {**fields, **logits, "lane_stride": emitter.memory.logits_stride}, {})
        return Held("", place.geometry.rows, 0)
    held = emitter.hold(place.name.removesuffix(".weight"), place.geometry.rows, maximum=maximum)
    buffers: dict[str, At] = {"to": held.at(0)}
    if bias:
        fields["operation"] = Operation.ADD_CONSTANT
        buffers["from"] = (emitter.parameter(bias), 0)
    elif second is not None:
        assert second.frame == held.frame, "what is combined has one length"
        buffers["from"] = second.at(0)
    if maximum:
        fields["maximum"] = Maximum.MAGNITUDE
        buffers["max_register"] = (held.maximum, 0)
    emitter.emit(Opcode.LINEAR, {**fields, "target": Target.VECTOR, "lane_stride": held.frame}, buffers)
    return held


def track(emitter: Emitter, held: Held, lane: int) -> None:
    """The largest magnitude of what is held already."""
    emitter.vector(
        Operation.COPY,
        lane,
        held.count,
        target=Target.NONE,
        maximum=Maximum.MAGNITUDE,
        a=held.at(lane),
        max_register=(held.maximum, lane),
    )
