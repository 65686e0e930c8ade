// The Python module `elastix.runtime._runtime`; the same library exports the C ABI of README.md.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdio>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "bandwidth.h"
#include "device.h"
#include "pool.h"

namespace nb = nanobind;
using namespace nb::literals;

void bind_step(nb::module_& module);
#ifdef ELASTIX_SIMULATION
void bind_simulation(nb::module_& module);
#endif

namespace {

using Bytes = nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Ids = nb::ndarray<int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Release = nb::call_guard<nb::gil_scoped_release>;

using Call = nb::typed<nb::callable, nb::object(Bytes, uint64_t)>;

// An engine written in Python: called with (memory, descriptor), it writes the results or raises.
class PythonEngine {
  public:
    explicit PythonEngine(Call call) : call_(std::move(call)), engine_{this, run} {}
    uint64_t address() const { return reinterpret_cast<uint64_t>(&engine_); }

    // For Python's cycle collector: a callable often refers back to its device.
    static int traverse(PyObject* self, visitproc visit, void* arg) {
        Py_VISIT(Py_TYPE(self));
        if (nb::inst_ready(self)) {
            const nb::handle call = nb::inst_ptr<PythonEngine>(self)->call_;
            Py_VISIT(call.ptr());
        }
        return 0;
    }
    static int clear(PyObject* self) {
        nb::inst_ptr<PythonEngine>(self)->call_.reset();
        return 0;
    }

  private:
    static int run(void* self, uint8_t* memory, uint64_t size, uint64_t descriptor, char* error, size_t error_size) {
        const nb::gil_scoped_acquire held;
        try {
            // By reference: the engine writes into this memory.
            const Bytes bytes(memory, {static_cast<size_t>(size)}, nb::handle());
            static_cast<PythonEngine*>(self)->call_(nb::cast(bytes, nb::rv_policy::reference), descriptor);
            return 0;
        } catch (nb::python_error& raised) {
            std::snprintf(error, error_size, "%s", nb::str(raised.value()).c_str());
        } catch (const std::exception& exception) {
            std::snprintf(error, error_size, "%s", exception.what());
        }
        return 1;
    }

    nb::callable call_;
    elastix_engine engine_;
};

elastix_processor make_processor(int beat, int activation_bits, int lanes, int channels, int max_tiles) {
    const elastix_processor processor{beat, activation_bits, lanes, channels, max_tiles};
    if (const std::string problem = elastix::check_processor(processor, 64, 0); !problem.empty()) throw nb::value_error(problem.c_str());
    return processor;
}

void make_device(elastix_device* self, int64_t size, int64_t scratch, int beat, int activation_bits, int lanes, int channels,
                 int max_tiles) {
    const elastix_processor processor = make_processor(beat, activation_bits, lanes, channels, max_tiles);
    if (const std::string problem = elastix::check_processor(processor, size, scratch); !problem.empty())
        throw nb::value_error(problem.c_str());
    new (self) elastix_device(processor, size, scratch);
}

void run_engine(uint64_t engine, Bytes memory, uint64_t descriptor) {
    const auto* chosen = reinterpret_cast<const elastix_engine*>(engine);
    char message[1024] = "";
    int failed = 0;
    {
        const nb::gil_scoped_release released;
        failed = chosen->run(chosen->self, memory.data(), memory.size(), descriptor, message, sizeof message);
    }
    if (failed != 0) throw std::runtime_error(*message ? message : "the engine gave no reason");
}

void plant_fault(elastix::Emulator& self, const std::string& kind) {
    using elastix::Fault;
    if (kind != "none" && kind != "planes" && kind != "column") throw nb::value_error("wanted none, planes or column");
    self.plant(kind == "planes" ? Fault::planes : kind == "column" ? Fault::column : Fault::none);
}

void bind_engines(nb::module_& module) {
    nb::class_<elastix::Emulator>(module, "Emulator", "The emulator as an engine of its own.")
        .def(
            "__init__",
            [](elastix::Emulator* self, int beat, int activation_bits, int lanes, int channels, int max_tiles) {
                new (self) elastix::Emulator(make_processor(beat, activation_bits, lanes, channels, max_tiles));
            },
            "beat"_a, "activation_bits"_a, "lanes"_a, "channels"_a, "max_tiles"_a)
        .def_prop_ro(
            "address", [](const elastix::Emulator& self) { return reinterpret_cast<uint64_t>(&self.engine()); },
            "Address of its struct elastix_engine.")
        .def_prop_ro("overflow", &elastix::Emulator::overflow, "Whether a result saturated (C6) since it was made.")
        .def_prop_ro("kernel", &elastix::Emulator::kernel, "Vector instructions in use: generic, avx2 or avx512.")
        .def("invalidate", &elastix::Emulator::invalidate, "Forget the decoded weights: memory has changed.")
        .def("plant_fault", plant_fault, "kind"_a,
             "For tests: decode the bit planes in reverse from now on (`planes`), take the first column's codes as 0\n(`column`), or make no mistake (`none`).");

    static PyType_Slot slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(PythonEngine::traverse)},
                                  {Py_tp_clear, reinterpret_cast<void*>(PythonEngine::clear)},
                                  {0, nullptr}};
    nb::class_<PythonEngine>(module, "PythonEngine", "A callable (memory, descriptor) as a struct elastix_engine.", nb::type_slots(slots))
        .def(nb::init<Call>(), "call"_a)
        .def_prop_ro("address", &PythonEngine::address, "Address of its struct elastix_engine.");

    module.def("run_engine", run_engine, "engine"_a, "memory"_a, "descriptor"_a,
               "Carry out a descriptor on the struct elastix_engine at address `engine`; raises RuntimeError with its message.");
}

void bind_device(nb::module_& module) {
    nb::class_<elastix_device>(module, "Device", "A flat memory and an engine; runtime/device.py is its documented face.")
        .def("__init__", make_device, "size"_a, "scratch"_a, "beat"_a, "activation_bits"_a, "lanes"_a, "channels"_a, "max_tiles"_a)
        .def_prop_ro("address", [](const elastix_device& self) { return reinterpret_cast<uint64_t>(&self); })
        .def_prop_ro("base", [](elastix_device& self) { return reinterpret_cast<uint64_t>(self.memory.data()); })
        .def_prop_ro(
            "memory", [](elastix_device& self) { return Bytes(self.memory.data(), {self.memory.size()}, nb::handle()); },
            nb::rv_policy::reference_internal)
        .def_prop_ro("emulator", [](elastix_device& self) -> elastix::Emulator& { return self.emulator; },
                     nb::rv_policy::reference_internal)
        .def(
            "set_engine",
            [](elastix_device& self, uint64_t engine) { elastix_device_set_engine(&self, reinterpret_cast<elastix_engine*>(engine)); },
            "engine"_a)
        .def_prop_ro("error",
                     [](const elastix_device& self) { return self.failed() ? std::optional<std::string>(self.error) : std::nullopt; })
        .def("clear_error", [](elastix_device& self) { self.error.clear(); })
        .def(
            "quantize", [](elastix_device& self, Floats x, int64_t activation_bits, int64_t address) {
                elastix_quantize(&self, x.data(), static_cast<int64_t>(x.shape(0)), static_cast<int64_t>(x.shape(1)), activation_bits, address);
            },
            "x"_a, "activation_bits"_a, "address"_a)
        .def(
            "launch", [](elastix_device& self, int64_t descriptor, int64_t tokens) { elastix_launch(&self, descriptor, tokens); },
            "descriptor"_a, "tokens"_a, Release())
        .def("wait", [](elastix_device& self) { elastix_wait(&self); }, Release())
        .def(
            "read_back", [](elastix_device& self, int64_t address, Floats y) {
                elastix_read_back(&self, address, y.data(), static_cast<int64_t>(y.shape(0)), static_cast<int64_t>(y.shape(1)));
            },
            "address"_a, "y"_a)
        .def(
            "embedding", [](elastix_device& self, int64_t descriptor, Ids ids, Floats y) {
                if (ids.shape(0) != y.shape(0)) throw nb::value_error("wanted one row of y for each id");
                elastix_embedding(&self, descriptor, ids.data(), y.data(), static_cast<int64_t>(y.shape(0)), static_cast<int64_t>(y.shape(1)));
            },
            "descriptor"_a, "ids"_a, "y"_a)
        .def("statistics",
             [](const elastix_device& self) {
                 std::vector<std::tuple<uint64_t, int64_t, int64_t, double>> rows;
                 for (const auto& [descriptor, s] : self.statistics) rows.emplace_back(descriptor, s.launches, s.tokens, s.seconds);
                 return rows;
             })
        .def("clear_statistics", [](elastix_device& self) { self.statistics.clear(); });
}

}  // namespace

NB_MODULE(_runtime, module) {
    // Dynamo holds compiled graphs until the interpreter is gone, which is no leak of ours.
    nb::set_leak_warnings(false);
    module.doc() = "The Elastix runtime: devices, the emulator, the simulation harness.";
    module.def("thread_count", elastix::thread_count, "Threads that the emulator and the kernels share (ELASTIX_THREADS).");
    module.def("read_bandwidth", elastix::read_bandwidth, "bytes"_a, "rounds"_a, Release(),
               "Bytes a second at which these threads read fresh memory; the best of `rounds`.");
    bind_engines(module);
    bind_device(module);
    bind_step(module);
#ifdef ELASTIX_SIMULATION
    bind_simulation(module);
#endif
}
