// The Python module `elastix.compiler.precision._rounding`; rounding.py is its documented face.
#include "rounding.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace elastix::precision {
namespace {

template <typename T, size_t kRank>
using Array = nb::ndarray<T, nb::ndim<kRank>, nb::c_contig, nb::device::cpu>;

// The kernels of an instruction set by name; "" takes the widest that this CPU has.
const Kernels& kernels_for(const std::string& name) {
#if defined(__x86_64__)
    if ((name.empty() || name == "avx512") && __builtin_cpu_supports("avx512f")) return avx512_kernels;
    if ((name.empty() || name == "avx2") && __builtin_cpu_supports("avx2")) return avx2_kernels;
#endif
    if (name.empty() || name == "generic") return generic_kernels;
    throw nb::value_error(("no " + name + " on this CPU").c_str());
}

struct Released {
    void operator()(void* memory) const { std::free(memory); }
};

// `work(first, workspace)` for each panel of the layer, on several threads; whichever is free takes the next.
template <typename Work>
void for_each_panel(const Kernels& kernels, int rows, size_t workspace, int threads, Work work) {
    std::vector<std::unique_ptr<void, Released>> workspaces;
    for (int t = 0; t < threads; ++t) {
        workspaces.emplace_back(std::aligned_alloc(64, (workspace + 63) / 64 * 64));
        if (!workspaces.back()) throw std::bad_alloc();
    }
    std::atomic<int> next{0};
    const auto run = [&](void* memory) {
        for (int first; (first = kernels.lanes * next++) < rows;) work(first, memory);
    };
    std::vector<std::jthread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(run, workspaces[t].get());
    run(workspaces[0].get());
}

struct PyMoments {
    Array<const float, 2> matrix, factor;
    Array<const float, 1> diagonal, costs;
    Array<const int32_t, 1> order;

    Moments view() const {
        return {static_cast<int>(order.shape(0)), matrix.data(), diagonal.data(), costs.data(), factor.data(), order.data()};
    }
};

struct PyFormat {
    int bits, group;
    float largest_scale, zero, zero_step;
    std::vector<float> clippings;
    int sweeps;

    Format view() const {
        return {bits, group, largest_scale, zero, zero_step, clippings.data(), static_cast<int>(clippings.size()), sweeps};
    }
};

struct PyRows {
    Array<uint8_t, 2> codes, scales, zeros;  // zeros: not valid where the zero point is common
    Array<uint16_t, 1> rowscale;

    Layer view(const Array<const float, 2>& weights) const {
        return {static_cast<int>(weights.shape(0)), weights.data(), codes.data(), scales.data(),
                zeros.is_valid() ? zeros.data() : nullptr, rowscale.data()};
    }
};

void check(const Array<const float, 2>& weights, const PyMoments& moments, const PyFormat& format, const PyRows* rows, int threads) {
    const size_t n = weights.shape(0), k = weights.shape(1);
    if (threads < 1) throw nb::value_error("wanted at least one thread");
    if (k != moments.order.shape(0)) throw nb::value_error("weights and moments differ in columns");
    if (!rows) return;
    const size_t groups = format.view().groups(static_cast<int>(k));
    const auto is = [](const auto& array, size_t a, size_t b) { return array.shape(0) == a && array.shape(1) == b; };
    const bool free = format.zero_step > 0;
    if (!is(rows->codes, n, k) || !is(rows->scales, n, groups) || rows->rowscale.shape(0) != n || rows->zeros.is_valid() != free ||
        (free && !is(rows->zeros, n, groups)))
        throw nb::value_error("rows of another shape or format than the weights");
}

void round_rows(Array<const float, 2> weights, const PyMoments& moments, const PyFormat& format, const PyRows& rows, int threads,
                const std::string& instructions) {
    check(weights, moments, format, &rows, threads);
    const Kernels& kernels = kernels_for(instructions);
    const Layer layer = rows.view(weights);
    const Moments inputs = moments.view();
    const Format form = format.view();
    const nb::gil_scoped_release released;
    for_each_panel(kernels, layer.rows, kernels.workspace(inputs.columns, form.groups(inputs.columns)), threads,
                   [&](int first, void* memory) { kernels.round(layer, inputs, form, first, memory); });
}

void measure(Array<const float, 2> weights, const PyMoments& moments, const PyFormat& format, const PyRows* rows,
             Array<double, 1> forms, int threads, const std::string& instructions) {
    check(weights, moments, format, rows, threads);
    if (forms.shape(0) != weights.shape(0)) throw nb::value_error("wanted one form for each row");
    const Kernels& kernels = kernels_for(instructions);
    const Layer layer = rows ? rows->view(weights) : Layer{static_cast<int>(weights.shape(0)), weights.data(), {}, {}, {}, {}};
    const Moments inputs = moments.view();
    const Format form = format.view();
    const nb::gil_scoped_release released;
    for_each_panel(kernels, layer.rows, kernels.workspace(inputs.columns, form.groups(inputs.columns)), threads,
                   [&](int first, void* memory) { kernels.measure(layer, inputs, form, first, memory, forms.data()); });
}

}  // namespace
}  // namespace elastix::precision

NB_MODULE(_rounding, module) {
    using namespace elastix::precision;
    module.doc() = "Rounding of linear layers; elastix.compiler.precision.rounding is its documented face.";
    nb::class_<PyMoments>(module, "Moments", "What InputMoments holds.")
        .def(nb::init<Array<const float, 2>, Array<const float, 2>, Array<const float, 1>, Array<const float, 1>,
                      Array<const int32_t, 1>>(),
             "matrix"_a, "factor"_a, "diagonal"_a, "costs"_a, "order"_a);
    nb::class_<PyFormat>(module, "Format", "Codes and grids of a format, and how hard to try.")
        .def(nb::init<int, int, float, float, float, std::vector<float>, int>(), "bits"_a, "group"_a, "largest_scale"_a, "zero"_a,
             "zero_step"_a, "clippings"_a, "sweeps"_a);
    nb::class_<PyRows>(module, "Rows", "The arrays of QuantizedRows.")
        .def(nb::init<Array<uint8_t, 2>, Array<uint8_t, 2>, Array<uint8_t, 2>, Array<uint16_t, 1>>(), "codes"_a, "scales"_a, "zeros"_a.none(),
             "rowscale"_a);
    module.def("round_rows", round_rows, "weights"_a, "moments"_a, "format"_a, "rows"_a, "threads"_a, "instructions"_a = "",
               "Round the weights into `rows`; instructions: generic, avx2, avx512 or, empty, the widest there are.");
    module.def("measure", measure, "weights"_a, "moments"_a, "format"_a, "rows"_a.none(), "forms"_a, "threads"_a,
               "instructions"_a = "", "e·M·e of each row into `forms`, in units of the moments; e = w without rows.");
}
