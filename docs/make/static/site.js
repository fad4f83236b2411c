// What Furo leaves out for whoever has no mouse, or does not see the page.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll('.caption[role="heading"]')) {
    caption.setAttribute("aria-level", "2");
  }
  for (const wide of document.querySelectorAll(".table-wrapper, div.highlight pre")) {
    if (wide.scrollWidth > wide.clientWidth) {
      wide.tabIndex = 0;
    }
  }
});
