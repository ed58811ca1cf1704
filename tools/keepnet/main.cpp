// keepnet inspect FILE [--json]: what a snapshot holds. Results on stdout, everything else on stderr; exit status 1 when
// the file is no snapshot that a stack would take. The file is only read.
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include <CLI/CLI.hpp>

#include "checkpoint/decode.hpp"
#include "inspect.hpp"
#include "stack/core.hpp"

namespace keepnet::tool {
namespace {

using checkpoint::Failure;

std::unexpected<Failure> failed(const std::string& message) {
    return std::unexpected(Failure{checkpoint::Code::input_output, message});
}

std::expected<std::vector<std::uint8_t>, Failure> read_file(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return failed(std::strerror(errno));
    if (S_ISDIR(status.st_mode)) return failed(std::strerror(EISDIR));
    std::ifstream in(path, std::ios::binary);
    if (!in) return failed(std::strerror(errno));
    std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
    if (in.bad()) return failed("cannot be read");
    return bytes;
}

/// Address space that costs nothing until it is touched.
class Pages {
  public:
    explicit Pages(std::size_t bytes)
        : data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
          bytes_(bytes) {}
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    ~Pages() {
        if (*this) ::munmap(data_, bytes_);
    }
    explicit operator bool() const { return data_ != MAP_FAILED; }
    [[nodiscard]] std::span<std::byte> span() const { return {static_cast<std::byte*>(data_), bytes_}; }

  private:
    void* data_;
    std::size_t bytes_;
};

std::expected<std::string, Failure> inspect(const std::string& path, bool json) {
    const auto bytes = read_file(path);
    if (!bytes) return std::unexpected(bytes.error());
    const auto decoder = checkpoint::Decoder::open(*bytes);
    if (!decoder) return std::unexpected(decoder.error());
    StackConfig config;
    config.capacity = decoder->needed();
    if (check_config(config) != Error::invalid) return failed("the snapshot is damaged: its trailer cannot be");
    const Pages arena(Stack::arena_bytes(config));
    if (!arena) return failed("not enough memory for " + std::to_string(Stack::arena_bytes(config)) + " bytes");
    const auto core = create_core(arena.span(), config, true);
    if (!core) return failed(std::string(name(core.error())));
    std::vector<checkpoint::Blob> blobs;
    if (auto ok = decoder->fill((*core)->world, (*core)->sweep_queue, blobs); !ok) return std::unexpected(ok.error());

    std::ostringstream out;
    if (json) {
        print_json(out, *decoder, blobs);
    } else {
        print_tables(out, *decoder, bytes->size(), (*core)->world, blobs);
    }
    return out.str();
}

int run(int argc, char** argv) {
    CLI::App app("Tools for keepnet, a TCP/IPv6 stack whose connections survive a restart.", "keepnet");
    app.require_subcommand(1);
    CLI::App* command = app.add_subcommand("inspect", "Print what a snapshot holds");
    std::string path;
    bool json = false;
    command->add_option("FILE", path, "the snapshot")->required();
    command->add_flag("--json", json, "for programs: every object and field, names as in snapshot.capnp");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : 2;
    }
    const auto text = inspect(path, json);
    if (!text) {
        std::cerr << "keepnet: " << path << ": " << text.error().message << '\n';
        return 1;
    }
    std::cout << *text << std::flush;
    return std::cout ? 0 : 1;
}

}  // namespace
}  // namespace keepnet::tool

int main(int argc, char** argv) { return keepnet::tool::run(argc, argv); }
