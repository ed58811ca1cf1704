#include "files.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "checkpoint/chain_link.hpp"

namespace keepnet::tool {
namespace {

using checkpoint::Failure;

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

}  // namespace

std::unexpected<Failure> failed(const std::string& message) {
    return std::unexpected(Failure{checkpoint::Code::input_output, message});
}

Pages::Pages(std::size_t bytes)
    : data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
      bytes_(bytes) {}
Pages::~Pages() {
    if (*this) ::munmap(data_, bytes_);
}
Pages::operator bool() const { return data_ != MAP_FAILED; }

std::expected<std::string, Failure> snapshot_path(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return path;
    std::string inside = path + (path.ends_with('/') ? "snapshot" : "/snapshot");
    if (::stat(inside.c_str(), &status) != 0) return failed(std::string(std::strerror(EISDIR)) + ", and there is no snapshot in it");
    return inside;
}

std::expected<ChainFiles, Failure> ChainFiles::read(const std::string& argument) {
    std::vector<std::string> paths;
    const bool is_list = argument.find(',') != std::string::npos;
    for (std::size_t at = 0; at <= argument.size();) {
        const std::size_t end = std::min(argument.find(',', at), argument.size());
        paths.push_back(argument.substr(at, end - at));
        at = end + 1;
    }
    if (!is_list) {
        auto path = snapshot_path(argument);
        if (!path) return std::unexpected(path.error());
        paths = {std::move(*path)};
    }
    ChainFiles chain;
    for (std::size_t i = 0; i < paths.size(); ++i) {
        auto bytes = read_file(paths[i]);
        if (!bytes && is_list) return failed(paths[i] + ": " + bytes.error().message);
        if (!bytes) return std::unexpected(bytes.error());
        if (!is_list && i == 0) {
            const auto increments = checkpoint::increment_files(paths[0], *bytes);
            if (!increments) return std::unexpected(increments.error());
            paths.insert(paths.end(), increments->begin(), increments->end());
        }
        chain.files.push_back(std::move(*bytes));
    }
    return chain;
}

std::size_t ChainFiles::bytes() const {
    std::size_t sum = 0;
    for (const auto& file : files) sum += file.size();
    return sum;
}

std::expected<State, Failure> State::decode(ChainFiles chain) {
    auto decoder = checkpoint::Decoder::open(chain.views());
    if (!decoder) return std::unexpected(decoder.error());
    StackConfig config;
    config.capacity = decoder->needed();
    if (check_config(config) != Error::invalid) return failed("the snapshot is damaged: its trailer cannot be");
    State state{.chain = std::move(chain),
                .decoder = std::move(*decoder),
                .arena = std::make_unique<Pages>(Stack::arena_bytes(config))};
    if (!*state.arena) return failed("not enough memory for " + std::to_string(Stack::arena_bytes(config)) + " bytes");
    const auto core = create_core(state.arena->span(), config, true);
    if (!core) return failed(std::string(name(core.error())));
    state.core = *core;
    if (auto ok = state.decoder.fill((*core)->world, (*core)->sweep_queue, state.blobs); !ok) {
        return std::unexpected(ok.error());
    }
    return state;
}

}  // namespace keepnet::tool
