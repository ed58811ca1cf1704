// The judge is judged: hosts, applications, networks and traces that are wrong on purpose must be noticed,
// each by the property that it breaks.
#pragma once

namespace keepnet::sim {

/// Says on stderr what was not noticed.
bool self_test();

}  // namespace keepnet::sim
