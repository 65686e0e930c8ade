"""The host's side of a whole decode step: a header in C, made for one processor and one program."""

from typing import Final

from elastix.compiler.processor.control_registers import ID, ErrorBit, Offset
from elastix.compiler.processor.step.top import ARG_MAX, MAX_CONTEXT, POSITION, TOKEN, TOKENS, VERSION
from elastix.compiler.step.manifest import StepManifest

HEADER_FILE: Final = "step.h"
_OFFSETS: Final = {
    **{each.name: int(each) for each in Offset if each not in (Offset.TIMEOUT, Offset.MAX_TILES, Offset.COUNTERS)},
    "TOKENS": TOKENS,
    "POSITION": POSITION,
    "MAX_CONTEXT": MAX_CONTEXT,
    "TOKEN": TOKEN,
    "ARG_MAX": ARG_MAX,
}
_START, _SOFT_RESET = 1, 2
_BUSY, _DONE, _ERROR, _RESETTING = 1, 2, 4, 8


def header(manifest: StepManifest) -> str:
    """step.h: C99, freestanding, no state of its own; the same text for the same manifest."""
    p, memory = manifest.step_processor, manifest.memory
    numbers = {
        "TOKENS_AT_ONCE": (p.lanes, "tokens of a run, at most"),
        "MAX_CONTEXT": (p.max_context, "positions: rows of the caches"),
        "VOCABULARY": (manifest.vocabulary, "token ids, and logits of a token"),
    }
    places = {
        "MEMORY_BYTES": (memory.size, "of the memory that all masters see"),
        "WEIGHTS": (0, "weights.bin goes here"),
        "WEIGHTS_BYTES": (memory.weights_bytes, ""),
        "CACHES": (memory.cache_address, "zeros before the first token"),
        "CACHES_BYTES": (memory.cache_bytes, ""),
        "PROGRAM": (memory.program_address, "program.bin goes here"),
        "PROGRAM_BYTES": (memory.program_bytes, ""),
        "LOGITS": (memory.logits_address, "fp32, of the first token of a run"),
        "LOGITS_STRIDE": (memory.logits_stride, "bytes from token to token"),
    }
    constants = [f"    ELASTIX_{name} = {value}, /* {says} */" for name, (value, says) in numbers.items()]
    addresses = [
        f"#define ELASTIX_{name} UINT64_C({value:#x})" + (f" /* {says} */" if says else "")
        for name, (value, says) in places.items()
    ]
    told = p.beat | p.activation_bits << 10 | p.lanes << 16 | p.channels << 20
    return _TEXT.format(
        constants="\n".join(constants),
        addresses="\n".join(addresses),
        id=ID,
        version=VERSION,
        parameters=told,
        give_tokens=_GIVE_TOKENS if "embed" in p.features else "",
        take_arg_max=_TAKE_ARG_MAX if "arg_max" in p.features else "    (void)next;\n",
        errors="\n".join(f"    ELASTIX_ERROR_{bit.name} = 1 << {int(bit)}," for bit in ErrorBit),
        registers="\n".join(f"    ELASTIX_AT_{name} = {offset:#04x}," for name, offset in _OFFSETS.items()),
        start=_START,
        soft_reset=_SOFT_RESET,
        busy=_BUSY,
        done=_DONE,
        error=_ERROR,
        resetting=_RESETTING,
    )


_GIVE_TOKENS: Final = """\
    for (token = 0; token < count; ++token)
        r->write(r->self, ELASTIX_AT_TOKEN + 4 * token, tokens[token]);
"""
_TAKE_ARG_MAX: Final = """\
    for (token = 0; next && token < count; ++token)
        next[token] = r->read(r->self, ELASTIX_AT_ARG_MAX + 4 * token);
"""
_TEXT: Final = """\
/* The host's side of this processor and this program: token ids and a position in, logits and arg max out.
 *
 *   put weights.bin at ELASTIX_WEIGHTS, program.bin at ELASTIX_PROGRAM, zeros into the caches; then
 *
 *   if (elastix_open(&registers) != ELASTIX_OK) ...
 *   for (position = 0; ...; position += count)
 *       if (elastix_step(&registers, tokens, count, position, next) != ELASTIX_OK) ...
 *
 * C99, freestanding. One processor, one thread at a time. Nothing here is kept between calls. */
#ifndef ELASTIX_STEP_H
#define ELASTIX_STEP_H

#include <stdint.h>

enum {{
{constants}
}};
{addresses}

/* Byte offsets of registers; of TOKEN and ARG_MAX those of the first token, 4 more for each after it. */
enum {{
{registers}
}};

/* How the host reaches the AXI4-Lite registers: 32 bits at a byte offset. `self` is handed on. */
typedef struct {{
    void *self;
    uint32_t (*read)(void *self, uint32_t offset);
    void (*write)(void *self, uint32_t offset, uint32_t value);
}} elastix_registers;

typedef enum {{
    ELASTIX_OK = 0,
    ELASTIX_ANOTHER_PROCESSOR, /* what answers is none, or not the one that this program is for */
    ELASTIX_BAD_TOKENS,        /* no token, more than ELASTIX_TOKENS_AT_ONCE, or an id beyond the vocabulary */
    ELASTIX_CONTEXT_FULL,      /* position + count > ELASTIX_MAX_CONTEXT: nothing was started */
    ELASTIX_STOPPED            /* the run ended with an error: elastix_error says which */
}} elastix_result;

/* Bits of the register ERROR. OVERFLOW does not stop a run: a number met the largest one there is. */
enum {{
{errors}
}};

/* Finds the processor, ends what is under way and points it to the program. After a reset, and after an error. */
static inline elastix_result elastix_open(const elastix_registers *r) {{
    if (r->read(r->self, ELASTIX_AT_ID) != UINT32_C({id:#x}) ||
        r->read(r->self, ELASTIX_AT_VERSION) != UINT32_C({version:#x}) ||
        r->read(r->self, ELASTIX_AT_PARAMETERS) != UINT32_C({parameters:#x}) ||
        r->read(r->self, ELASTIX_AT_MAX_CONTEXT) != (uint32_t)ELASTIX_MAX_CONTEXT)
        return ELASTIX_ANOTHER_PROCESSOR;
    r->write(r->self, ELASTIX_AT_CONTROL, {soft_reset});
    while (r->read(r->self, ELASTIX_AT_STATUS) & {resetting}) {{
    }}
    r->write(r->self, ELASTIX_AT_DESCRIPTOR, (uint32_t)ELASTIX_PROGRAM);
    r->write(r->self, ELASTIX_AT_DESCRIPTOR_HIGH, (uint32_t)(ELASTIX_PROGRAM >> 32));
    return ELASTIX_OK;
}}

/* Runs `count` tokens, the first at `position`, and waits. next: the most likely token after each, or NULL; their
 * logits lie at elastix_logits(0), elastix_logits(1), ... */
static inline elastix_result elastix_step(const elastix_registers *r, const uint32_t *tokens, uint32_t count,
                                          uint32_t position, uint32_t *next) {{
    uint32_t token, status;
    if (count == 0 || count > ELASTIX_TOKENS_AT_ONCE)
        return ELASTIX_BAD_TOKENS;
    for (token = 0; token < count; ++token)
        if (tokens[token] >= ELASTIX_VOCABULARY)
            return ELASTIX_BAD_TOKENS;
    if (position > ELASTIX_MAX_CONTEXT || count > ELASTIX_MAX_CONTEXT - position)
        return ELASTIX_CONTEXT_FULL;
    r->write(r->self, ELASTIX_AT_TOKENS, count);
    r->write(r->self, ELASTIX_AT_POSITION, position);
{give_tokens}    r->write(r->self, ELASTIX_AT_CONTROL, {start});
    do
        status = r->read(r->self, ELASTIX_AT_STATUS);
    while (!(status & ({done} | {error})) || status & {busy});
    if (status & {error})
        return ELASTIX_STOPPED;
{take_arg_max}    return ELASTIX_OK;
}}

/* Bits of ERROR since the last elastix_open; address, unless NULL: where the first that stopped a run happened. */
static inline uint32_t elastix_error(const elastix_registers *r, uint64_t *address) {{
    if (address)
        *address = (uint64_t)r->read(r->self, ELASTIX_AT_ERROR_ADDRESS_HIGH) << 32 |
                   r->read(r->self, ELASTIX_AT_ERROR_ADDRESS);
    return r->read(r->self, ELASTIX_AT_ERROR);
}}

/* Byte address of the ELASTIX_VOCABULARY logits of a run's token. */
static inline uint64_t elastix_logits(uint32_t token) {{
    return ELASTIX_LOGITS + token * ELASTIX_LOGITS_STRIDE;
}}

#endif
"""
