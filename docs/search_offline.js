// Search in pages that are opened from a folder: browsers start no worker there, so a hidden frame does its work.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.documentElement.append(frame)
      const inside = frame.contentWindow
      const told = event => {
        if (event.source !== inside) return
        const message = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(message)
        this.onmessage?.(message)
      }
      window.addEventListener("message", told)
      this.ready = new Promise(resolve => {
        inside.begin = resolve
        inside.document.open()
        inside.document.write(`<script>
          var postMessage = message => parent.postMessage(message, "*")
          var importScripts = (...urls) => urls.reduce((done, url) => done.then(() => new Promise(resolve => {
            const script = document.createElement("script")
            script.src = url
            script.onload = resolve
            document.head.append(script)
          })), Promise.resolve())
        <\/script><script src="${url}" onload="begin()"><\/script>`)
        inside.document.close()
      })
      this.frame = inside
    }
    postMessage(data) {
      this.ready.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data })))
    }
    terminate() {}
  }
}
