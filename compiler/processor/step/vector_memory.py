"""Memory of words of L fp32 elements: as many read ports as wanted, one write port with a mask of elements."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, concat

READ_LATENCY = 2


@cache
def vector_memory(words: int, lanes: int, ports: int) -> Module:
    """`words` words of `lanes` elements of 32 bits, held once for every read port.

    read_address_<i>: in; read_data_<i>: that word READ_LATENCY clocks later, undefined if it is written at the first of
    the two edges. write_mask, write_address, write_data: the elements that the mask says are written.
    """
    m = Module(
        f"vector_memory_{words}x{lanes}_{ports}_port{'s' * (ports > 1)}",
        vector_memory.__doc__,
        {"words": words, "lanes": lanes, "ports": ports},
    )
    copies = [[Memory(m, f"copy_{port}_{lane}", words, 32) for lane in range(lanes)] for port in range(ports)]
    bits = copies[0][0].address_bits
    mask, address = m.input("write_mask", lanes), m.input("write_address", bits)
    data = m.input("write_data", 32 * lanes)
    for port, copy in enumerate(copies):
        read_address = m.input(f"read_address_{port}", bits)
        for lane, memory in enumerate(copy):
            memory.write(address, data[32 * lane : 32 * (lane + 1)], mask[lane])
        word = concat(*reversed([memory.read(read_address) for memory in copy]))
        # Block RAM answers late in its cycle.
        m.output(f"read_data_{port}", m.register(f"read_data_{port}_q", word))
    return m
