// The text of prelude.lua.
#pragma once

#include <string_view>

namespace persistent_runtime {
extern const std::string_view prelude;
}
