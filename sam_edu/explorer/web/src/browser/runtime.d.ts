// The runtime is copied beside the worker, not bundled: a browser keeps it when the worker changes.
declare module "*/ort.wasm.bundle.min.mjs" {
  export * from "onnxruntime-web";
}
