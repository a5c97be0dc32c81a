//! PNG from SVG: the very same picture, with the letters of this machine's fonts.

use anyhow::{Context, Result, ensure};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree},
};

/// Pixels for one of the SVG's.
const ZOOM: f32 = 1.5;

/// Renders pictures with the fonts of this machine, which are looked for once.
pub struct Renderer(Options<'static>);

impl Renderer {
    /// Finds the fonts.
    pub fn new() -> Result<Renderer> {
        let mut options = Options::default();
        let fonts = options.fontdb_mut();
        fonts.load_system_fonts();
        ensure!(
            !fonts.is_empty(),
            "no font is installed (on Debian: apt-get install fonts-dejavu-core)"
        );
        fonts.set_sans_serif_family("DejaVu Sans");
        Ok(Renderer(options))
    }

    /// Renders a picture.
    pub fn render(&self, svg: &str) -> Result<Vec<u8>> {
        let tree = Tree::from_str(svg, &self.0)?;
        let size = tree.size();
        let pixels = |length: f32| (length * ZOOM).ceil() as u32;
        let mut pixmap =
            Pixmap::new(pixels(size.width()), pixels(size.height())).context("an empty picture")?;
        resvg::render(
            &tree,
            Transform::from_scale(ZOOM, ZOOM),
            &mut pixmap.as_mut(),
        );
        Ok(pixmap.encode_png()?)
    }
}
