// Options that a socket keeps and gives back, and that change nothing here: what they ask for is so anyway, or does not exist.
// A program that sets them as a matter of course goes on, and finds what it has set. Runtime::save() keeps them too.
#pragma once

#include <optional>

#include "posix/internals.hpp"

namespace keepnet::posix {

/// As Linux takes and gives the value.
enum class StoredAs : std::uint8_t {
    boolean,  ///< anything but 0 is 1
    number,   ///< from `low` to `high`, else EINVAL
};
struct StoredOption {
    int level;
    int name;
    StoredAs as;
    int initial;
    int low, high;
    bool tcp, udp;
};

/// Null: none that is only stored.
const StoredOption* find_stored_option(const Socket& s, int level, int name);
/// What was set, or the initial value.
int stored_value(const Socket& s, int level, int name);
void store_value(Socket& s, int level, int name, int value);
/// Checks it as Linux does. 0, or an errno value.
int store_checked(Socket& s, const StoredOption& option, int value);

}  // namespace keepnet::posix
