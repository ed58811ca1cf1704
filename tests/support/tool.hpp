// Runs the `keepnet` command in a folder of its own.
#pragma once

#include <sys/wait.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "support/folder.hpp"

namespace keepnet::test {

struct Output {
    int status = -1;
    std::string out{};
    std::string err{};
};

inline std::string slurp(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

class Tool {
  public:
    std::filesystem::path write(const std::vector<std::uint8_t>& bytes, const std::string& name = "s") {
        std::ofstream out(folder_.path / name, std::ios::binary);
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        return folder_.path / name;
    }
    Output run(const std::string& arguments) {
        const std::string command = KEEPNET_BIN_DIR "/keepnet " + arguments + " > " + (folder_.path / "out").string() +
                                    " 2> " + (folder_.path / "err").string();
        const int status = std::system(command.c_str());
        REQUIRE(WIFEXITED(status));
        return {WEXITSTATUS(status), slurp(folder_.path / "out"), slurp(folder_.path / "err")};
    }

    [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path; }

  private:
    Folder folder_;
};

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace keepnet::test
