// A folder of a test's own, gone with all that is in it when the test ends, also when it fails.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include <catch2/catch_test_macros.hpp>

namespace keepnet::test {

class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "keepnet-test-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::permissions(path, std::filesystem::perms::owner_all, ignored);
        std::filesystem::remove_all(path, ignored);
    }
    [[nodiscard]] std::set<std::string> names() const {
        std::set<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(path)) found.insert(entry.path().filename().string());
        return found;
    }
    std::filesystem::path path;
};

}  // namespace keepnet::test
