// What a step processor of given parameters refuses of an instruction, whatever the run.
#pragma once
#include "elastix.h"
#include "step_instruction.h"

namespace elastix {

// Throws Problem for the first thing that is wrong; weights are checked with the memory, by place_layer.
void check_instruction(const Instruction& i, const elastix_step_parameters& p);

}  // namespace elastix
