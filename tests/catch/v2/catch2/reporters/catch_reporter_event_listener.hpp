// The names that these have in Catch2 3, for version 2.
#pragma once
#ifndef CATCH_CONFIG_EXTERNAL_INTERFACES
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#endif
#include <catch2/catch.hpp>

namespace Catch {
using EventListenerBase = TestEventListenerBase;
}
