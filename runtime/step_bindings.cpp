// `_runtime.StepEmulator`: the face of step.h that runtime/step.py documents.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <tuple>

#include "step.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Bytes = nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
// Index of the instruction, or −1 before the first; what was found; what was wanted.
using Stopped = std::tuple<int64_t, std::string, std::string>;
using WriteTuple = std::tuple<int32_t, int32_t, int32_t, uint64_t, nb::bytes>;

template <typename Call>
std::optional<Stopped> guarded(elastix::Step& step, Call call) {
    const nb::gil_scoped_release released;
    try {
        call();
        return std::nullopt;
    } catch (const elastix::Problem& problem) {
        return Stopped{step.at(), problem.found, problem.wanted};
    }
}

class StepEmulator {
  public:
    explicit StepEmulator(const elastix_step_parameters& parameters) : step(parameters) {}

    std::optional<Stopped> begin(Bytes memory, uint64_t program, const std::vector<int64_t>& tokens, int64_t position) {
        more = true;
        return guarded(step, [&] {
            step.begin(memory.data(), memory.size(), program, tokens.data(), static_cast<int64_t>(tokens.size()), position);
        });
    }
    std::optional<Stopped> advance() {
        return guarded(step, [&] { more = step.advance(); });
    }
    std::optional<Stopped> run(Bytes memory, uint64_t program, const std::vector<int64_t>& tokens, int64_t position) {
        return guarded(step, [&] {
            step.begin(memory.data(), memory.size(), program, tokens.data(), static_cast<int64_t>(tokens.size()), position);
            while (step.advance()) continue;
        });
    }
    std::vector<WriteTuple> writes() const {
        std::vector<WriteTuple> found;
        for (const elastix::Write& write : step.writes())
            found.emplace_back(static_cast<int32_t>(write.place), write.number, write.head, write.first,
                               nb::bytes(write.data, write.bytes));
        return found;
    }

    elastix::Step step;
    bool more = false;
};

}  // namespace

void bind_step(nb::module_& module) {
    nb::class_<StepEmulator>(module, "StepEmulator", "The emulator of a step processor; runtime/step.py is its documented face.")
        .def(
            "__init__",
            [](StepEmulator* self, int beat, int activation_bits, int lanes, int channels, int max_tiles, int vector_elements,
               int constant_elements, int max_context, int head_dim, int kv_heads, int group, int vector_lanes,
               int attention_channels, int activation, int features) {
                const elastix_step_parameters parameters{{beat, activation_bits, lanes, channels, max_tiles},
                                                         vector_elements, constant_elements, max_context, head_dim, kv_heads, group,
                                                         vector_lanes, attention_channels, activation, features};
                if (const std::string problem = elastix::check_step_parameters(parameters); !problem.empty())
                    throw nb::value_error(problem.c_str());
                new (self) StepEmulator(parameters);
            },
            "beat"_a, "activation_bits"_a, "lanes"_a, "channels"_a, "max_tiles"_a, "vector_elements"_a, "constant_elements"_a,
            "max_context"_a, "head_dim"_a, "kv_heads"_a, "group"_a, "vector_lanes"_a, "attention_channels"_a,
            "activation"_a, "features"_a)
        .def("run", &StepEmulator::run, "memory"_a, "program"_a, "tokens"_a, "position"_a,
             "A whole run; what stopped it: index of the instruction (−1: none), found, wanted.")
        .def("begin", &StepEmulator::begin, "memory"_a, "program"_a, "tokens"_a, "position"_a,
             "Begin a run that `advance` carries out; the memory must outlive it.")
        .def("advance", &StepEmulator::advance, "Carry out the next instruction; returns as `run`.")
        .def_ro("more", &StepEmulator::more, "Whether END is still to come.")
        .def_prop_ro("at", [](const StepEmulator& self) { return self.step.at(); }, "Index of the instruction carried out last.")
        .def_prop_ro("address", [](const StepEmulator& self) { return self.step.address(); }, "Its byte address.")
        .def("writes", &StepEmulator::writes, "What it wrote: place, number, head, first element, bytes.")
        .def("arg_max", [](const StepEmulator& self, int64_t lane) {
            if (lane < 0 || lane >= self.step.lanes()) throw nb::index_error("lane");
            return self.step.arg_max(lane);
        }, "lane"_a)
        .def_prop_ro(
            "overflow", [](const StepEmulator& self) { return self.step.overflow(); }, "Whether a result of this run saturated (C6).")
        .def("invalidate", [](StepEmulator& self) { self.step.invalidate(); }, "Forget the decoded weights: memory has changed.");
}
