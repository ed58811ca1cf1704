// The benchmarks, by the table that they are printed in (report.cpp).
#pragma once

namespace keepnet::bench {

void register_transfers();
void register_connections();
void register_parts();
void register_policies();
void register_impaired();

}  // namespace keepnet::bench
