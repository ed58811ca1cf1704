#include <catch2/catch_test_macros.hpp>
#include <set>
#include <string>

#include <keepnet/error.hpp>

#include "wire/parse_error.hpp"

using namespace keepnet;

namespace {

template <typename Enum>
void check_names() {
    std::set<std::string> names;
    unsigned known = 0;
    for (unsigned i = 0; i < 256; ++i) {
        const std::string n(name(static_cast<Enum>(i)));
        REQUIRE_FALSE(n.empty());
        if (n == "unknown") continue;
        ++known;
        names.insert(n);
        CHECK(n.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == std::string::npos);
    }
    CHECK(known > 1);
    CHECK(names.size() == known);
}

}  // namespace

TEST_CASE("error names: each has its own, in lower case, a number that is no error has none") {
    check_names<Error>();
    check_names<wire::ParseError>();
    CHECK(name(Error::would_block) == "would_block");
    CHECK(name(wire::ParseError::bad_option) == "bad_option");
}
