# cmake -DWORK=FOLDER -DCXX=COMPILER -P tools_test.cmake: a compiler that is found, but does not know C++23, is not taken,
# and one that comes later is.
include(${CMAKE_CURRENT_LIST_DIR}/../../cmake/KeepnetTools.cmake)

function(expect name value)
    if(NOT "${${name}}" STREQUAL "${value}")
        message(FATAL_ERROR "${name} is ${${name}}, not ${value}")
    endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/old ${WORK}/new)
set(everyone FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
file(WRITE ${WORK}/old/tested-cxx "#!/bin/sh\nexec ${CXX} \"$@\" -std=c++20\n")
file(CHMOD ${WORK}/old/tested-cxx ${everyone})
set(ENV{PATH} "${WORK}/new:${WORK}/old:$ENV{PATH}")

keepnet_find_cxx23(found tested-cxx-99 tested-cxx)
expect(found "found-NOTFOUND")

file(WRITE ${WORK}/new/tested-cxx-99 "#!/bin/sh\nexec ${CXX} \"$@\"\n")
file(CHMOD ${WORK}/new/tested-cxx-99 ${everyone})
keepnet_find_cxx23(found tested-cxx-99 tested-cxx)
expect(found "${WORK}/new/tested-cxx-99")

# The better name is there and broken: the next one serves.
file(WRITE ${WORK}/old/tested-cxx "#!/bin/sh\nexec ${CXX} \"$@\"\n")
file(WRITE ${WORK}/new/tested-cxx-99 "#!/bin/sh\nexit 1\n")
keepnet_find_cxx23(found tested-cxx-99 tested-cxx)
expect(found "${WORK}/old/tested-cxx")
file(REMOVE_RECURSE ${WORK})
