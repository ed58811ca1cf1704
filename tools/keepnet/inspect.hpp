// What `keepnet inspect` prints.
#pragma once

#include <iosfwd>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/decode.hpp"
#include "state/world.hpp"

namespace keepnet::tool {

/// For people: tables.
void print_tables(std::ostream& out, const checkpoint::Decoder& decoder, std::size_t bytes, World& w,
                  const std::vector<checkpoint::Blob>& blobs);

/// For programs: every object and field under the names of the schema. Instants are nanoseconds relative to the cut, null
/// for never and long ago; payload is counted, not printed.
void print_json(std::ostream& out, const checkpoint::Decoder& decoder, const std::vector<checkpoint::Blob>& blobs);

}  // namespace keepnet::tool
