# TLS over keepnet's sockets is tested where OpenSSL's headers are.
find_package(OpenSSL 3 QUIET)
if(OpenSSL_FOUND)
    target_link_libraries(${target} PRIVATE OpenSSL::SSL OpenSSL::Crypto)
else()
    message(STATUS "keepnet: no OpenSSL 3 headers (libssl-dev), so the TLS tests of the Asio binding are left out")
    set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/asio/ssl_test.cpp PROPERTIES HEADER_FILE_ONLY ON)
endif()
if(NOT TARGET keepnet_checkpoint)
    set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/asio/restore_test.cpp PROPERTIES HEADER_FILE_ONLY ON)
endif()
# Coroutines over Beast take a compiler minutes to optimise, and what is tested here is not its speed.
target_compile_options(${target} PRIVATE -O0)
