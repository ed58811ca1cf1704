// Catch2 version 2 is one header; this is its one slow translation unit.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
