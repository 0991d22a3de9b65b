// Java: an HTTP server, and a client in a Java process of its own that reports through a pipe.
// needs: java javac
// build: javac -d {bin} {src}
// run: java -Xmx64m -Dsun.net.httpserver.idleInterval=3600 -cp {bin} Server
// progress: 2
// until: finish
// cycles: 2
// full: yes
// situations: -new
//     (it waits for its child by its PID)
// answer: the client ended with 0, every answer was right
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

public class Server {
    static void answer(HttpExchange exchange) throws IOException {
        String question = new String(exchange.getRequestBody().readAllBytes());
        byte[] answer = question.toUpperCase().repeat(50).getBytes();
        exchange.sendResponseHeaders(200, answer.length);
        exchange.getResponseBody().write(answer);
        exchange.close();
    }

    static void ask(String port) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        URI uri = URI.create("http://127.0.0.1:" + port + "/");
        for (int round = 1; ; round++) {
            for (int n = 0; n < 20; n++) {
                HttpRequest request = HttpRequest.newBuilder(uri)
                    .POST(HttpRequest.BodyPublishers.ofString("question " + n + "\n")).build();
                String body = client.send(request, HttpResponse.BodyHandlers.ofString()).body();
                if (!body.equals(("QUESTION " + n + "\n").repeat(50))) {
                    System.exit(1);
                }
            }
            System.out.println("round " + round);
            if (new File("finish").exists()) {
                System.exit(0);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0) {
            ask(arguments[0]);
        }
        InetAddress loopback = InetAddress.getLoopbackAddress();
        HttpServer server = HttpServer.create(new InetSocketAddress(loopback, 0), 10);
        ExecutorService pool = Executors.newFixedThreadPool(3);
        server.setExecutor(pool);
        server.createContext("/", Server::answer);
        server.start();
        String port = String.valueOf(server.getAddress().getPort());
        Process client = new ProcessBuilder("java", "-Xmx64m", "-cp",
            System.getProperty("java.class.path"), "Server", port)
            .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        BufferedReader lines =
            new BufferedReader(new InputStreamReader(client.getInputStream()));
        for (String line; (line = lines.readLine()) != null; ) {
            System.out.println(line);
        }
        System.out.println("the client ended with " + client.waitFor()
                           + ", every answer was right");
        server.stop(0);
        pool.shutdown();
    }
}
