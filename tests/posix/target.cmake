# The header as a C program sees it.
target_sources(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/posix/header.c)
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/posix/header.c PROPERTIES COMPILE_OPTIONS "-Wpedantic")
find_package(Threads REQUIRED)
target_link_libraries(${target} PRIVATE Threads::Threads)
# Many small tests, whose speed is nobody's concern.
target_compile_options(${target} PRIVATE -O0)
if(NOT TARGET keepnet_checkpoint)
    set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/posix/persistent_test.cpp PROPERTIES HEADER_FILE_ONLY ON)
endif()
