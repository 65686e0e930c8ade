// The Python module `elastix.runtime._runtime`; the same library exports the C ABI of README.md.
#include <nanobind/nanobind.h>

#ifdef ELASTIX_SIMULATION
void bind_simulation(nanobind::module_& module);
#endif

NB_MODULE(_runtime, module) {
    module.doc() = "The Elastix runtime: devices, the emulator, kernels, the simulation harness.";
#ifdef ELASTIX_SIMULATION
    bind_simulation(module);
#endif
}
