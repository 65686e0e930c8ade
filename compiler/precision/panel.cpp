// Compiled once for each instruction set, with ELASTIX_KERNELS the name of what it offers. Everything else in here has
// internal linkage, so that no code of a wider set can be taken for another's.
#include "columns.h"
#include "descent.h"
#include "group_grids.h"
#include "measure.h"
#include "panel.h"

namespace elastix::precision {
namespace {

void round_panel(const Layer& layer, const Moments& moments, const Format& format, int first, void* workspace) {
    Panel& panel = make_panel(moments, format, workspace);
    load(panel, layer, first);
    find_grids(panel);
    round_columns(panel);
    if (format.sweeps > 0) start_descent(panel);
    for (int sweep = 0; sweep < format.sweeps; ++sweep) descend(panel);
    store(panel, layer, first);
}

void measure_panel(const Layer& layer, const Moments& moments, const Format& format, int first, void* workspace, double* forms) {
    Panel& panel = make_panel(moments, format, workspace);
    load_errors(panel, layer, first);
    double sums[kLanes];
    quadratic_forms(panel, sums);
    for (int lane = 0; lane < kLanes && first + lane < layer.rows; ++lane) forms[first + lane] = sums[lane];
}

}  // namespace

extern const Kernels ELASTIX_KERNELS{kLanes, workspace_bytes, round_panel, measure_panel};

}  // namespace elastix::precision
