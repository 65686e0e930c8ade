// RUN: elastix-opt %s --split-input-file --verify-diagnostics

func.func @region() {
  // expected-error@+1 {{'host.address' op region is 'stack', wanted memory or arena or argument or result}}
  %0 = "host.address"() {region = "stack", offset = 0 : i64} : () -> !llvm.ptr
  return
}

// -----

func.func @offset() {
  // expected-error@+1 {{'host.address' op offset is -1, wanted 0 or more}}
  %0 = "host.address"() {region = "arena", offset = -1 : i64} : () -> !llvm.ptr
  return
}

// -----

func.func @index_missing() {
  // expected-error@+1 {{'host.address' op index is -1, wanted 0 or more}}
  %0 = "host.address"() {region = "argument", offset = 0 : i64} : () -> !llvm.ptr
  return
}

// -----

func.func @index_unwanted() {
  // expected-error@+1 {{'host.address' op index is 1, wanted none for region 'arena'}}
  %0 = "host.address"() {region = "arena", index = 1 : i64, offset = 0 : i64} : () -> !llvm.ptr
  return
}

// -----

func.func @address_type() {
  // expected-error@+1 {{'host.address' op pointer is i64, wanted !llvm.ptr}}
  %0 = "host.address"() {region = "arena", offset = 0 : i64} : () -> i64
  return
}

// -----

func.func @upload_pointer(%x: i64) {
  // expected-error@+1 {{'host.upload' op x is i64, wanted !llvm.ptr}}
  "host.upload"(%x) {tokens = 1 : i64, columns = 64 : i64, activation_bits = 11 : i64, address = 64 : i64} : (i64) -> ()
  return
}

// -----

func.func @upload_tokens(%x: !llvm.ptr) {
  // expected-error@+1 {{'host.upload' op tokens is 0, wanted 1 or more}}
  "host.upload"(%x) {tokens = 0 : i64, columns = 64 : i64, activation_bits = 11 : i64, address = 64 : i64} : (!llvm.ptr) -> ()
  return
}

// -----

func.func @upload_columns(%x: !llvm.ptr) {
  // expected-error@+1 {{'host.upload' op columns is 0, wanted 1 or more}}
  "host.upload"(%x) {tokens = 1 : i64, columns = 0 : i64, activation_bits = 11 : i64, address = 64 : i64} : (!llvm.ptr) -> ()
  return
}

// -----

func.func @upload_bits(%x: !llvm.ptr) {
  // expected-error@+1 {{'host.upload' op activation_bits is 7, wanted 8 to 12}}
  "host.upload"(%x) {tokens = 1 : i64, columns = 64 : i64, activation_bits = 7 : i64, address = 64 : i64} : (!llvm.ptr) -> ()
  return
}

// -----

func.func @upload_address(%x: !llvm.ptr) {
  // expected-error@+1 {{'host.upload' op address is 8, wanted a multiple of 64}}
  "host.upload"(%x) {tokens = 1 : i64, columns = 64 : i64, activation_bits = 11 : i64, address = 8 : i64} : (!llvm.ptr) -> ()
  return
}

// -----

func.func @launch_descriptor() {
  // expected-error@+1 {{'host.launch' op descriptor is 8, wanted a multiple of 64}}
  "host.launch"() {descriptor = 8 : i64, tokens = 1 : i64} : () -> ()
  return
}

// -----

func.func @launch_tokens() {
  // expected-error@+1 {{'host.launch' op tokens is 0, wanted 1 or more}}
  "host.launch"() {descriptor = 64 : i64, tokens = 0 : i64} : () -> ()
  return
}

// -----

func.func @read_back_pointer(%y: i32) {
  // expected-error@+1 {{'host.read_back' op y is i32, wanted !llvm.ptr}}
  "host.read_back"(%y) {tokens = 1 : i64, rows = 64 : i64, address = 64 : i64} : (i32) -> ()
  return
}

// -----

func.func @read_back_tokens(%y: !llvm.ptr) {
  // expected-error@+1 {{'host.read_back' op tokens is 0, wanted 1 or more}}
  "host.read_back"(%y) {tokens = 0 : i64, rows = 64 : i64, address = 64 : i64} : (!llvm.ptr) -> ()
  return
}

// -----

func.func @read_back_rows(%y: !llvm.ptr) {
  // expected-error@+1 {{'host.read_back' op rows is 0, wanted 1 or more}}
  "host.read_back"(%y) {tokens = 1 : i64, rows = 0 : i64, address = 64 : i64} : (!llvm.ptr) -> ()
  return
}

// -----

func.func @read_back_address(%y: !llvm.ptr) {
  // expected-error@+1 {{'host.read_back' op address is 4, wanted a multiple of 64}}
  "host.read_back"(%y) {tokens = 1 : i64, rows = 64 : i64, address = 4 : i64} : (!llvm.ptr) -> ()
  return
}

// -----

func.func @constant() {
  // expected-error@+1 {{'host.constant' op value is 3 : i64, wanted a dense tensor}}
  %0 = "host.constant"() {value = 3 : i64} : () -> !llvm.ptr
  return
}

// -----

func.func @call_pointer(%f: f32) {
  // expected-error@+1 {{'host.call' op pointer 0 is f32, wanted !llvm.ptr}}
  "host.call"(%f) {callee = @elastix_residual, values = [unit]} : (f32) -> ()
  return
}

// -----

func.func @call_value(%x: !llvm.ptr) {
  // expected-error@+1 {{'host.call' op value 1 is 1 : i16, wanted unit, an i64 or an i32}}
  "host.call"(%x) {callee = @elastix_residual, values = [unit, 1 : i16]} : (!llvm.ptr) -> ()
  return
}

// -----

func.func @call_units(%x: !llvm.ptr) {
  // expected-error@+1 {{'host.call' op values has 0 times unit, wanted 1, once for each pointer}}
  "host.call"(%x) {callee = @elastix_residual, values = [1 : i64]} : (!llvm.ptr) -> ()
  return
}

// -----

func.func @callee(%x: !llvm.ptr) {
  // expected-error@+1 {{'host.call' op callee is "elastix_residual", wanted a symbol}}
  "host.call"(%x) {callee = "elastix_residual", values = [unit]} : (!llvm.ptr) -> ()
  return
}
