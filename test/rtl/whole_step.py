"""A small program that has every unit at work, and what the rules say of it."""

import numpy as np
from register_bench import Memory
from unit.step_programs import Program

from elastix.compiler.numbers import step_oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.step_oracle_state import Place
from elastix.compiler.processor.step.instructions import Instruction, Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.runtime.single_layer import random_rows

HIDDEN, VOCABULARY = 64, 40
FORM = Format(3, 32, "s8c8", "asymmetric")


class WholeStep:
    """Embedding row, a layer, a head of attention and logits, for every token of a run; where its parts lie."""

    def __init__(self, parameters: StepParameters, tokens: tuple[int, ...], position: int, seed: int = 1) -> None:
        self.parameters, self.tokens, self.position = parameters, tokens, position
        random = np.random.default_rng(seed)
        p, program = parameters, Program(parameters, 1 << 17)
        self.constants = program.place(random.standard_normal((1, HIDDEN)).astype("<f4"))
        self.table = program.place_layer(random_rows(FORM, VOCABULARY, HIDDEN, seed))
        self.weights = program.place_layer(random_rows(FORM, HIDDEN, HIDDEN, seed + 1))
        self.head = program.place_layer(random_rows(FORM, VOCABULARY, HIDDEN, seed + 2))
        self.cache = program.place_cache(random.standard_normal((position, p.head_dim)).astype(np.float32))
        self.logits_stride = -(-4 * self.head["row_blocks"] * p.rows // 64) * 64
        self.logits = program.place(np.zeros(self.logits_stride * p.lanes, np.uint8))
        self._instructions(program)
        program.add(Opcode.END)
        self.program = program.place(b"".join(each.encode() for each in program.instructions), 256)
        program.place(b"", 256)
        self.instructions: list[Instruction] = program.instructions
        self.memory: Memory = program.memory
        self.expected = self.memory.copy()
        found = step_oracle.run(self.expected, self.program, tokens, position, p)
        self.arg_max = [int(each) for each in found.state.arrays[Place.ARG_MAX][: len(tokens)]]

    def _instructions(self, program: Program) -> None:
        p, add = self.parameters, program.add
        add(Opcode.LOAD, target=Target.CONSTANT, address=self.constants, count=HIDDEN)
        for m in range(p.lanes):
            add(Opcode.EMBED, lane=m, to=HIDDEN * m, **self.table)
        self._quantize(program)
        add(Opcode.LINEAR, target=Target.VECTOR, rows=HIDDEN, to=512, lane_stride=HIDDEN, **self.weights)
        for m in range(p.lanes):
            self._attention(program, m)
        self._quantize(program)
        where = {"target": Target.MEMORY, "to": self.logits, "lane_stride": self.logits_stride}
        add(Opcode.LINEAR, rows=VOCABULARY, arg_max=1, **where, **self.head)

    def _vector(self, program: Program, lane: int, operation: Operation, a: int, count: int, **fields: int) -> None:
        program.add(Opcode.VECTOR, lane=lane, operation=operation, a=a, count=count, **fields)

    def _quantize(self, program: Program) -> None:
        """What is in the first elements becomes activations."""
        for m in range(self.parameters.lanes):
            fields = {"maximum": Maximum.MAGNITUDE, "max_register": m}
            self._vector(program, m, Operation.COPY, HIDDEN * m, HIDDEN, **fields)
            fields = {"target": Target.ACTIVATIONS, "bits": self.parameters.activation_bits, "scalar_register": m}
            self._vector(program, m, Operation.QUANTIZE, HIDDEN * m, HIDDEN, **fields)

    def _attention(self, program: Program, m: int) -> None:
        """A head whose queries, key and value are among the results of the layer; added to what was there."""
        p, own, a = self.parameters, {"lane": m}, 512 + HIDDEN * m
        at, scales, _ = self.cache
        kept = {"bits": 8, "rows": at, "scales": scales, "head": 0}
        count = p.group * p.head_dim
        track = {"maximum": Maximum.MAGNITUDE, "max_register": 8}
        self._vector(program, m, Operation.COPY, a, HIDDEN, **track)
        self._vector(program, m, Operation.COPY, a, p.head_dim, **track)
        for target in (Target.KEY, Target.VALUE):
            self._vector(program, m, Operation.QUANTIZE, a, p.head_dim, target=target, scalar_register=8, **kept)
        self._vector(program, m, Operation.COPY, a, count, **track)
        self._vector(program, m, Operation.QUANTIZE, a, count, target=Target.QUERY, bits=16, scalar_register=8)
        cache = {"keys": at, "key_scales": scales, "values": at, "value_scales": scales}
        stride = -(-p.max_context // 8) * 8
        program.add(Opcode.SCORES, **own, to=1024, stride=stride, max_register=16, **cache)
        for j in range(p.group):
            here = {"target": Target.VECTOR, "to": 1024 + j * stride, "to_position": 1, "scalar_register": 16 + j}
            here |= {"maximum": Maximum.MAGNITUDE_KEEP if j else Maximum.MAGNITUDE, "max_register": 9}
            self._vector(program, m, Operation.EXPONENTIAL, 1024 + j * stride, 1, result_register=32 + j, **here)
        for j in range(p.group):
            here = {"target": Target.PROBABILITY, "to_position": 1, "scalar_register": 9, "bits": 16, "head": j}
            self._vector(program, m, Operation.QUANTIZE, 1024 + j * stride, 1, **here)
        program.add(Opcode.VALUES, **own, values=at, to=1536)
        for j in range(p.group):
            here = {"target": Target.VECTOR, "to": 1536 + j * p.head_dim, "scalar_register": 32 + j}
            self._vector(program, m, Operation.SCALE_BY, 1536 + j * p.head_dim, p.head_dim, **here)
        here = {"target": Target.VECTOR, "to": HIDDEN * m, "b": 1536, "c": 0}
        self._vector(program, m, Operation.ADD, HIDDEN * m, count, **here)
