# The program itself is C.
if(NOT TARGET keepnet_posix)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
else()
    find_package(Threads REQUIRED)
    target_sources(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/posix_echo/echo.c)
    target_link_libraries(${target} PRIVATE Threads::Threads)
endif()
