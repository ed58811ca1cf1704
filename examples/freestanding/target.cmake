# The stacks: no library but the core, and no more of C++ than a kernel has. (The sanitizers' run-time library is hosted.)
add_library(keepnet_example_freestanding_objects OBJECT ${CMAKE_CURRENT_LIST_DIR}/two_stacks.cpp)
keepnet_compile_flags(keepnet_example_freestanding_objects)
target_link_libraries(keepnet_example_freestanding_objects PRIVATE keepnet::memory)
target_compile_options(keepnet_example_freestanding_objects PRIVATE
    -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-stack-protector)
if(NOT KEEPNET_SANITIZE_FLAGS)
    target_compile_options(keepnet_example_freestanding_objects PRIVATE -ffreestanding)
endif()

set_target_properties(${target} PROPERTIES SOURCES ${CMAKE_CURRENT_LIST_DIR}/main.cpp LINK_LIBRARIES "")
target_link_libraries(${target} PRIVATE keepnet_example_freestanding_objects keepnet::memory)
target_compile_definitions(${target} PRIVATE KEEPNET_VERSION="${PROJECT_VERSION}")
