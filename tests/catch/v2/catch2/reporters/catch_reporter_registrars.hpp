// The name that this has in Catch2 3, for version 2.
#pragma once
#include <catch2/reporters/catch_reporter_event_listener.hpp>
