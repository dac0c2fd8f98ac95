# find_package(Northstate): packages for northstate out of CMake's targets.
#
#   northstate_pack(TARGET app MANIFEST manifest.yaml
#     [NAME name]                 # of the package's target and file; TARGET_npk and TARGET.npk when it is left out
#     [PATH /app]                 # where the program goes in the image; /OUTPUT_NAME when it is left out
#     [ROOT directory]            # further files for the image
#     [ADD /path=file ...]        # single files, also $<TARGET_FILE:...>
#     [KEY integrator.key] [COMPRESSION zstd] [FS erofs] [ARCH aarch64]
#     [DESTINATION directory])    # where `cmake --install` puts it; share/northstate/packages when it is left out
#
#   northstate_add_test(NAME app.runs PACKAGE app_npk [ARGS ...] [ENV name=value ...] [WITH app_npk ...] [KEY integrator.pub]
#     [TIMEOUT seconds] [EXIT_CODE code])
#                                 # runs the container on a runtime of its own; passes when it ends with this code, or 0
#
# The package is made again when the program, the manifest, or a file of the image has changed. Tests need root, and are
# skipped without it; when CMake builds for another system they are disabled.
cmake_minimum_required(VERSION 3.20)

# That of this installation, or one in the path; it runs here, whatever is built for.
find_program(
  NORTHSTATE_COMMAND
  NAMES northstate northstate.mjs
  HINTS "${CMAKE_CURRENT_LIST_DIR}/../../cli" "${CMAKE_CURRENT_LIST_DIR}/../.." "${CMAKE_CURRENT_LIST_DIR}/../../bin"
  NO_CMAKE_FIND_ROOT_PATH
  DOC "The command northstate"
)
if(NOT NORTHSTATE_COMMAND)
  set(Northstate_FOUND FALSE)
  set(Northstate_NOT_FOUND_MESSAGE "there is no command northstate: install it, or set NORTHSTATE_COMMAND")
  return()
endif()

function(northstate_pack)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "" "TARGET;NAME;MANIFEST;PATH;ROOT;KEY;COMPRESSION;FS;ARCH;DESTINATION" "ADD")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "northstate_pack does not know: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  foreach(needed TARGET MANIFEST)
    if(NOT ARG_${needed})
      message(FATAL_ERROR "northstate_pack needs ${needed}")
    endif()
  endforeach()
  if(NOT TARGET "${ARG_TARGET}")
    message(FATAL_ERROR "northstate_pack: there is no target ${ARG_TARGET}")
  endif()
  set(file "${ARG_TARGET}.npk")
  if(ARG_NAME)
    set(file "${ARG_NAME}.npk")
  else()
    set(ARG_NAME "${ARG_TARGET}_npk")
  endif()
  if(NOT ARG_PATH)
    set(ARG_PATH "/$<TARGET_FILE_NAME:${ARG_TARGET}>")
  endif()
  if(NOT ARG_ARCH)
    set(ARG_ARCH "${CMAKE_SYSTEM_PROCESSOR}")
  endif()
  if(NOT ARG_DESTINATION)
    set(ARG_DESTINATION "share/northstate/packages")
  endif()

  # Several configurations in one build directory do not get in each other's way.
  set(directory "${CMAKE_CURRENT_BINARY_DIR}")
  get_property(is_multi GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  if(is_multi)
    string(APPEND directory "/$<CONFIG>")
  endif()
  set(package "${directory}/${file}")
  set(depfile "${package}.d")

  get_filename_component(manifest "${ARG_MANIFEST}" ABSOLUTE)
  set(words --manifest "${manifest}" --add "${ARG_PATH}=$<TARGET_FILE:${ARG_TARGET}>" --arch "${ARG_ARCH}")
  if(ARG_ROOT)
    get_filename_component(root "${ARG_ROOT}" ABSOLUTE)
    list(APPEND words --root "${root}")
  endif()
  foreach(addition IN LISTS ARG_ADD)
    list(APPEND words --add "${addition}")
  endforeach()
  if(ARG_KEY)
    get_filename_component(key "${ARG_KEY}" ABSOLUTE)
    list(APPEND words --key "${key}")
  endif()
  if(ARG_COMPRESSION)
    list(APPEND words --compression "${ARG_COMPRESSION}")
  endif()
  if(ARG_FS)
    list(APPEND words --fs "${ARG_FS}")
  endif()

  add_custom_command(
    OUTPUT "${package}"
    COMMAND "${NORTHSTATE_COMMAND}" pack ${words} --out "${package}" --depfile "${depfile}"
    DEPENDS "${ARG_TARGET}" "${manifest}"
    DEPFILE "${depfile}"
    WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}"
    COMMENT "Packing ${file}"
    VERBATIM
  )
  add_custom_target("${ARG_NAME}" ALL DEPENDS "${package}")
  set_target_properties("${ARG_NAME}" PROPERTIES NORTHSTATE_PACKAGE "${package}")
  install(FILES "${package}" DESTINATION "${ARG_DESTINATION}")
endfunction()

function(northstate_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "" "NAME;PACKAGE;KEY;TIMEOUT;EXIT_CODE" "ARGS;ENV;WITH")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "northstate_add_test does not know: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  foreach(needed NAME PACKAGE)
    if(NOT ARG_${needed})
      message(FATAL_ERROR "northstate_add_test needs ${needed}")
    endif()
  endforeach()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  set(words --timeout "${ARG_TIMEOUT}s")
  if(ARG_KEY)
    get_filename_component(key "${ARG_KEY}" ABSOLUTE)
    list(APPEND words --key "${key}")
  endif()
  if(ARG_EXIT_CODE)
    list(APPEND words --expect "${ARG_EXIT_CODE}")
  endif()
  foreach(variable IN LISTS ARG_ENV)
    list(APPEND words --env "${variable}")
  endforeach()
  foreach(other IN LISTS ARG_WITH)
    list(APPEND words --with "$<TARGET_PROPERTY:${other},NORTHSTATE_PACKAGE>")
  endforeach()
  if(ARG_ARGS)
    list(APPEND words -- ${ARG_ARGS})
  endif()
  add_test(
    NAME "${ARG_NAME}"
    COMMAND "${NORTHSTATE_COMMAND}" test "$<TARGET_PROPERTY:${ARG_PACKAGE},NORTHSTATE_PACKAGE>" ${words}
  )
  # northstate ends the container in time; CTest ends northstate when that hangs.
  math(EXPR hang "${ARG_TIMEOUT} + 120")
  set_tests_properties(
    "${ARG_NAME}" PROPERTIES TIMEOUT "${hang}" SKIP_REGULAR_EXPRESSION "northstate: test needs root"
  )
  if(CMAKE_CROSSCOMPILING)
    set_tests_properties("${ARG_NAME}" PROPERTIES DISABLED TRUE)
  endif()
endfunction()
